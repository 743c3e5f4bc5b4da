/** The modal on top of a person's stack: what is typed stays while the app updates the view. */
import { type KeyboardEvent as Key, type ReactNode, useEffect, useRef, useState } from 'react';
import { Blocks, type Handlers } from './blocks.tsx';
import { act, explained, type Fields, textOf, type Values, type View } from './model.ts';
import { Plain } from './mrkdwn.tsx';

interface Props {
  view: View;
  me: string;
  toast: (text: string) => void;
}

export function Modal({ view, me, toast }: Props): ReactNode {
  const [typed, setTyped] = useState<Values>({});
  const [errors, setErrors] = useState<Record<string, string>>({});
  const [busy, setBusy] = useState(false);
  const values = withTyped(view, typed);
  const close = (whole: boolean): void => void act('close', { user: me, view_id: view.id, whole });
  useEffect(() => {
    const key = (event: KeyboardEvent): void => {
      if (event.key === 'Escape') void act('close', { user: me, view_id: view.id, whole: true });
    };
    document.addEventListener('keydown', key);
    return () => document.removeEventListener('keydown', key);
  }, [me, view.id]);
  const dialog = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const first = dialog.current?.querySelector<HTMLElement>('textarea, input, select') ?? dialog.current;
    first?.focus();
  }, []);
  /** The keyboard stays in the dialog: what lies behind it cannot be seen to be chosen. */
  const keepInside = (event: Key): void => {
    if (event.key !== 'Tab' || dialog.current === null) return;
    const stops = [...dialog.current.querySelectorAll<HTMLElement>('button, textarea, input, select, a[href]')].filter(
      (one) => !one.matches(':disabled'),
    );
    const [first, last] = [stops[0], stops.at(-1)];
    const at = document.activeElement;
    const leaving = event.shiftKey ? at === first || at === dialog.current : at === last;
    if (!leaving) return;
    event.preventDefault();
    (event.shiftKey ? last : first)?.focus();
  };
  const on: Handlers = {
    click: async (action_id, block_id, value) => {
      const reply = await act('click', {
        user: me,
        view_id: view.id,
        action_id,
        block_id,
        value,
        values,
        follow: false,
      });
      if (!reply.ok) toast(explained(reply.error));
    },
    values,
    change: (block, action, value) => {
      setTyped((before) => ({ ...before, [block]: { ...before[block], [action]: value } }));
      setErrors(({ [block]: _, ...rest }) => rest);
    },
    errors,
  };
  const submit = async (): Promise<void> => {
    setBusy(true);
    const reply = await act('submit', { user: me, view_id: view.id, values, follow: false });
    setBusy(false);
    if (reply.ok) return;
    if (reply.errors !== undefined) setErrors(reply.errors);
    else toast(explained(reply.error));
  };
  return (
    <div className="veil">
      <div
        className="dialog"
        role="dialog"
        aria-modal="true"
        aria-label={textOf(view.title)}
        tabIndex={-1}
        ref={dialog}
        onKeyDown={keepInside}
      >
        <header>
          <AppMark small />
          <h2>
            <Plain text={textOf(view.title)} />
          </h2>
          <button type="button" className="icon" aria-label="Close" onClick={() => close(true)}>
            ✕
          </button>
        </header>
        <div className="dialog-body">
          <Blocks blocks={view.blocks} on={on} />
        </div>
        <footer>
          <button type="button" className="button" onClick={() => close(false)}>
            <Plain text={view.close === null ? 'Close' : textOf(view.close)} />
          </button>
          {view.submit === null ? null : (
            <button type="button" className="button primary" disabled={busy} onClick={() => void submit()}>
              {busy ? <span className="spinner" /> : null}
              <Plain text={textOf(view.submit)} />
            </button>
          )}
        </footer>
      </div>
    </div>
  );
}

/** What the view holds, overlaid with what is typed here and not sent yet. */
function withTyped(view: View, typed: Values): Values {
  const values: Values = {};
  for (const [block, actions] of Object.entries(view.state.values)) {
    const merged: Record<string, Fields> = {};
    for (const [action, value] of Object.entries(actions)) merged[action] = typed[block]?.[action] ?? value;
    values[block] = merged;
  }
  return values;
}

export function AppMark({ small = false }: { small?: boolean }): ReactNode {
  return (
    <svg className={small ? 'avatar small' : 'avatar'} viewBox="0 0 36 36" role="img" aria-label="Countersign">
      <rect width="36" height="36" rx="8" fill="#0f766e" />
      <path
        d="M18 6.5l9 3.4v7.3c0 6-3.8 10.2-9 12.3-5.200-2.100-9-6.300-9-12.300V9.900z"
        fill="none"
        stroke="#fff"
        strokeWidth="2.200"
        strokeLinejoin="round"
      />
      <path
        d="M13.500 17.800l3.200 3.200 6-6.300"
        fill="none"
        stroke="#fff"
        strokeWidth="2.600"
        strokeLinecap="round"
        strokeLinejoin="round"
      />
    </svg>
  );
}
