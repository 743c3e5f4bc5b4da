/** Buttons and menus one can click, with their confirm dialogs. */
import { type ReactNode, useEffect, useRef, useState } from 'react';
import { type Fields, textOf } from './model.ts';
import { Mrkdwn, Plain } from './mrkdwn.tsx';

type Click = (actionId: string, blockId: string, value?: string) => Promise<void>;

interface Props {
  element: Fields;
  blockId: string;
  click: Click;
}

export function ClickableElement({ element, blockId, click }: Props): ReactNode {
  const [busy, setBusy] = useState(false);
  const [asking, setAsking] = useState<{ value: string | undefined }>();
  const alive = useRef(true);
  useEffect(() => {
    alive.current = true;
    return () => {
      alive.current = false;
    };
  }, []);
  if (element.type === 'image')
    return <img className="accessory" src={String(element.image_url)} alt={String(element.alt_text)} />;
  const send = async (value?: string): Promise<void> => {
    setAsking(undefined);
    setBusy(true);
    await click(String(element.action_id), blockId, value);
    if (alive.current) setBusy(false);
  };
  const start = (value?: string): void => {
    if (element.confirm === undefined) void send(value);
    else setAsking({ value });
  };
  return (
    <>
      {element.type === 'button' ? (
        <button
          type="button"
          className={`button ${String(element.style ?? '')}`}
          disabled={busy}
          aria-busy={busy}
          aria-label={element.accessibility_label === undefined ? undefined : String(element.accessibility_label)}
          onClick={() => (typeof element.url === 'string' ? window.open(element.url, '_blank', 'noreferrer') : start())}
        >
          {busy ? <span className="spinner" /> : null}
          <Plain text={textOf(element.text)} />
        </button>
      ) : element.type === 'overflow' ? (
        <Overflow element={element} busy={busy} choose={start} />
      ) : (
        <select className="button" disabled={busy} value="" onChange={(event) => start(event.target.value)}>
          <option value="">{textOf(element.placeholder) || 'Choose…'}</option>
          {((element.options ?? []) as Fields[]).map((option) => (
            <option key={String(option.value)} value={String(option.value)}>
              {textOf(option.text)}
            </option>
          ))}
        </select>
      )}
      {asking === undefined ? null : (
        <Confirm
          confirm={element.confirm as Fields}
          no={() => setAsking(undefined)}
          yes={() => void send(asking.value)}
        />
      )}
    </>
  );
}

function Overflow({
  element,
  busy,
  choose,
}: {
  element: Fields;
  busy: boolean;
  choose: (value: string) => void;
}): ReactNode {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return;
    const away = (event: Event): void => {
      if (!(event.target instanceof Node) || box.current?.contains(event.target) !== true) setOpen(false);
    };
    const key = (event: KeyboardEvent): void => {
      if (event.key === 'Escape') setOpen(false);
    };
    document.addEventListener('pointerdown', away);
    document.addEventListener('keydown', key);
    return () => {
      document.removeEventListener('pointerdown', away);
      document.removeEventListener('keydown', key);
    };
  }, [open]);
  return (
    <div className="overflow" ref={box}>
      <button
        type="button"
        className="button dots"
        aria-label="More actions"
        aria-haspopup="menu"
        aria-expanded={open}
        disabled={busy}
        onClick={() => setOpen(!open)}
      >
        {busy ? <span className="spinner" /> : '⋯'}
      </button>
      {open ? (
        <div className="menu" role="menu">
          {((element.options ?? []) as Fields[]).map((option) => (
            <button
              type="button"
              role="menuitem"
              key={String(option.value)}
              onClick={() => {
                setOpen(false);
                choose(String(option.value));
              }}
            >
              <Plain text={textOf(option.text)} />
            </button>
          ))}
        </div>
      ) : null}
    </div>
  );
}

function Confirm({ confirm, yes, no }: { confirm: Fields; yes: () => void; no: () => void }): ReactNode {
  const text = confirm.text as Fields;
  return (
    <div className="veil">
      <div className="dialog small" role="alertdialog" aria-modal="true" aria-label={textOf(confirm.title)}>
        <header>
          <h2>
            <Plain text={textOf(confirm.title)} />
          </h2>
        </header>
        <div className="dialog-body">
          {text.type === 'mrkdwn' ? <Mrkdwn text={textOf(text)} /> : <Plain text={textOf(text)} />}
        </div>
        <footer>
          <button type="button" className="button" onClick={no}>
            <Plain text={textOf(confirm.deny)} />
          </button>
          <button
            type="button"
            className={`button ${confirm.style === 'danger' ? 'danger solid' : 'primary'}`}
            onClick={yes}
          >
            <Plain text={textOf(confirm.confirm)} />
          </button>
        </footer>
      </div>
    </div>
  );
}
