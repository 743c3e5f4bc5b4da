/** The chat window: sidebar, channel, composer, modals, toasts. One person at a time looks through it. */
import { type ReactNode, StrictMode, useCallback, useEffect, useMemo, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { Blocks } from './blocks.tsx';
import { ChannelView, Composer } from './channel.tsx';
import { Directory, type Names } from './directory.ts';
import { Modal } from './modal.tsx';
import { act, type Channel, explained, type Snapshot } from './model.ts';
import { Sidebar } from './sidebar.tsx';
import { Terminal } from './terminal.tsx';
import './style.css';
import './messages.css';
import './blocks.css';
import './dialogs.css';

const TOAST_MS = 6_000;
let toasts = 0;

function remembered(key: string, fallback: string): string {
  return localStorage.getItem(key) ?? fallback;
}

function useSnapshot(me: string): { snapshot: Snapshot | undefined; live: boolean } {
  const [snapshot, setSnapshot] = useState<Snapshot>();
  const [live, setLive] = useState(true);
  useEffect(() => {
    const source = new EventSource(`/page/events?user=${encodeURIComponent(me)}`);
    source.onmessage = (event) => {
      setLive(true);
      setSnapshot(JSON.parse(String(event.data)) as Snapshot);
    };
    source.onerror = () => setLive(false);
    return () => source.close();
  }, [me]);
  return { snapshot, live };
}

function App(): ReactNode {
  const [me, setMe] = useState(() => remembered('me', 'U0ALICE'));
  const [open, setOpen] = useState(() => /^\/archives\/(\w+)/.exec(location.pathname)?.[1] ?? 'C0APPROVALS');
  const [tab, setTab] = useState<'home' | 'messages'>('messages');
  const [dark, setDark] = useState(
    () => remembered('theme', matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light') === 'dark',
  );
  const [drawer, setDrawer] = useState(false);
  const [terminal, setTerminal] = useState(false);
  const [notes, setNotes] = useState<{ id: number; text: string }[]>([]);
  const [seen, setSeen] = useState<Record<string, string>>({});
  const { snapshot, live } = useSnapshot(me);

  const toast = useCallback((text: string) => {
    toasts += 1;
    const id = toasts;
    setNotes((before) => [...before.slice(-3), { id, text }]);
    setTimeout(() => setNotes((before) => before.filter((note) => note.id !== id)), TOAST_MS);
  }, []);

  useEffect(() => {
    document.documentElement.dataset.theme = dark ? 'dark' : 'light';
    localStorage.setItem('theme', dark ? 'dark' : 'light');
  }, [dark]);

  const names = useMemo<Names>(
    () => ({
      me,
      people: new Map(snapshot?.people.map((one) => [one.id, one])),
      groups: new Map(snapshot?.groups.map((one) => [one.id, one])),
      channels: new Map(snapshot?.channels.map((one) => [one.id, one.name])),
    }),
    [snapshot, me],
  );

  const channel = snapshot?.channels.find((one) => one.id === open) ?? snapshot?.channels[0];
  const lastTs = channel?.messages.at(-1)?.ts ?? '';
  useEffect(() => {
    if (channel !== undefined) setSeen((before) => ({ ...before, [channel.id]: lastTs }));
  }, [channel, lastTs]);

  if (snapshot === undefined || channel === undefined) {
    return (
      <div className="loading">
        {live ? 'Opening the workspace…' : 'The workspace is not reachable. Is the demo running?'}
      </div>
    );
  }
  const unread = (one: Channel): number =>
    one.id === channel.id ? 0 : one.messages.filter((message) => message.ts > (seen[one.id] ?? '')).length;
  const become = (id: string): void => {
    localStorage.setItem('me', id);
    setMe(id);
    setSeen({});
    setDrawer(false);
  };
  const go = (id: string, which: 'home' | 'messages' = 'messages'): void => {
    setOpen(id);
    setTab(which);
    setDrawer(false);
    if (which === 'home') void act('home', { user: me, follow: false });
  };
  const send = async (text: string): Promise<boolean> => {
    const slash = /^(\/\S+)\s*([\s\S]*)$/.exec(text);
    const reply =
      slash === null
        ? await act('post', { user: me, channel: channel.id, text: escaped(text) })
        : await act('command', { user: me, channel: channel.id, command: slash[1], text: slash[2], follow: false });
    if (!reply.ok) toast(explained(reply.error));
    return reply.ok;
  };
  const click = (where: Record<string, unknown>) => async (action_id: string, block_id: string, value?: string) => {
    const reply = await act('click', { user: me, ...where, action_id, block_id, value, follow: false });
    if (!reply.ok) toast(explained(reply.error));
  };
  const isApp = channel.kind === 'im';
  const top = snapshot.views.at(-1);
  return (
    <Directory.Provider value={names}>
      <div className={`shell${drawer ? ' drawer-open' : ''}`}>
        <Sidebar snapshot={snapshot} current={channel.id} tab={tab} unread={unread} go={go} become={become} />
        <button type="button" className="scrim" aria-label="Close the sidebar" onClick={() => setDrawer(false)} />
        <main>
          <header className="channel-head">
            <button type="button" className="icon menu-button" aria-label="Channels" onClick={() => setDrawer(true)}>
              ☰
            </button>
            <div className="channel-title">
              <h1>{isApp ? snapshot.app.name : `# ${channel.name}`}</h1>
              <p>{isApp ? 'App' : channel.topic}</p>
            </div>
            {isApp ? (
              <nav className="tabs">
                <button type="button" aria-current={tab === 'home'} onClick={() => go(channel.id, 'home')}>
                  Home
                </button>
                <button type="button" aria-current={tab === 'messages'} onClick={() => go(channel.id)}>
                  Messages
                </button>
              </nav>
            ) : null}
            {live ? null : <span className="offline">reconnecting…</span>}
            {snapshot.terminal ? (
              <button
                type="button"
                className="button quiet"
                aria-pressed={terminal}
                onClick={() => setTerminal(!terminal)}
              >
                <span className="glyph">❯_</span> Terminal
              </button>
            ) : null}
            <button
              type="button"
              className="icon"
              aria-label={dark ? 'Light colours' : 'Dark colours'}
              onClick={() => setDark(!dark)}
            >
              {dark ? '☀' : '☾'}
            </button>
          </header>
          {isApp && tab === 'home' ? (
            <div className="home">
              {snapshot.home === null ? (
                <p className="empty">Nothing on this tab yet.</p>
              ) : (
                <Blocks blocks={snapshot.home.blocks} on={{ click: click({ view_id: snapshot.home.id }) }} />
              )}
            </div>
          ) : (
            <>
              <ChannelView
                channel={channel}
                appName={snapshot.app.name}
                click={(ts) => click({ channel: channel.id, ts })}
              />
              <Composer key={channel.id} label={isApp ? snapshot.app.name : `#${channel.name}`} send={send} />
            </>
          )}
          {terminal ? <Terminal dark={dark} close={() => setTerminal(false)} /> : null}
        </main>
        {top === undefined ? null : <Modal key={top.id} view={top} me={me} toast={toast} />}
        <div className="toasts" role="status">
          {notes.map((note) => (
            <div className="toast" key={note.id}>
              ⚠️ {note.text}
            </div>
          ))}
        </div>
      </div>
    </Directory.Provider>
  );
}

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

const root = document.getElementById('root');
if (root !== null)
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
