/** The terminal pane: a program on the demo's machine, through the gateway like anybody's. */
import { FitAddon } from '@xterm/addon-fit';
import { Terminal as Xterm } from '@xterm/xterm';
import '@xterm/xterm/css/xterm.css';
import { type ReactNode, useEffect, useRef, useState } from 'react';

const THEME = { background: '#10161a', foreground: '#d7e0e3', cursor: '#5eead4', selectionBackground: '#2b4a52' };

export function Terminal({ close }: { dark: boolean; close: () => void }): ReactNode {
  const [round, setRound] = useState(0);
  const [ended, setEnded] = useState(false);
  return (
    <section className="terminal" aria-label="Terminal">
      <header>
        <span>psql, through the gateway</span>
        {ended ? (
          <button
            type="button"
            className="link"
            onClick={() => {
              setEnded(false);
              setRound(round + 1);
            }}
          >
            Start again
          </button>
        ) : null}
        <button type="button" className="icon" aria-label="Close the terminal" onClick={close}>
          ✕
        </button>
      </header>
      <Session key={round} setEnded={setEnded} />
    </section>
  );
}

/** One program from its start to its end: another key is another session. */
function Session({ setEnded }: { setEnded: (ended: boolean) => void }): ReactNode {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (box.current === null) return;
    const xterm = new Xterm({
      theme: THEME,
      fontSize: 13,
      fontFamily: 'ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace',
      cursorBlink: true,
    });
    const fit = new FitAddon();
    xterm.loadAddon(fit);
    xterm.open(box.current);
    fit.fit();
    const socket = new WebSocket(`ws://${location.host}/terminal?cols=${xterm.cols}&rows=${xterm.rows}`);
    socket.binaryType = 'arraybuffer';
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) =>
      xterm.write(typeof event.data === 'string' ? event.data : new Uint8Array(event.data));
    socket.onopen = () => xterm.focus();
    socket.onclose = () => setEnded(true);
    const typing = xterm.onData((data) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(data);
    });
    return () => {
      socket.onclose = null;
      typing.dispose();
      socket.close();
      xterm.dispose();
    };
  }, [setEnded]);
  return <div className="screen" ref={box} />;
}
