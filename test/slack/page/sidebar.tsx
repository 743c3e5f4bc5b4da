/** Who one is, and where one can go. */
import type { ReactNode } from 'react';
import { AppMark } from './modal.tsx';
import type { Channel, Person, Snapshot } from './model.ts';

const COLOURS = ['#b45309', '#1d4ed8', '#7e22ce', '#be123c', '#475569', '#4d7c0f', '#0369a1'];

export function Face({ person, small = false }: { person: Person | undefined; small?: boolean }): ReactNode {
  const name = person?.real_name ?? '?';
  const code = [...(person?.id ?? '?')].reduce((sum, letter) => (sum * 33 + letter.charCodeAt(0)) % 997, 7);
  const initials = name
    .split(/\s+/)
    .map((word) => word[0])
    .slice(0, 2)
    .join('');
  return (
    <span
      className={small ? 'avatar face small' : 'avatar face'}
      style={{ background: COLOURS[code % COLOURS.length] }}
      aria-hidden="true"
    >
      {initials}
    </span>
  );
}

interface Props {
  snapshot: Snapshot;
  current: string;
  tab: 'home' | 'messages';
  unread: (channel: Channel) => number;
  go: (id: string, tab?: 'home' | 'messages') => void;
  become: (id: string) => void;
}

export function Sidebar({ snapshot, current, unread, go, become }: Props): ReactNode {
  const rooms = snapshot.channels.filter((one) => one.kind !== 'im');
  const im = snapshot.channels.find((one) => one.id === snapshot.app.im);
  const people = snapshot.people.filter((one) => !one.is_bot);
  const groupsOf = (id: string): string =>
    snapshot.groups
      .filter((one) => one.users.includes(id))
      .map((one) => `@${one.handle}`)
      .join(' ');
  return (
    <aside>
      <div className="team">
        <span className="team-mark">{snapshot.team.name[0]}</span>
        <strong>{snapshot.team.name}</strong>
      </div>
      <div className="rooms">
        <h2>Channels</h2>
        {rooms.map((room) => (
          <Room key={room.id} current={room.id === current} count={unread(room)} onClick={() => go(room.id)}>
            <span className="hash">{room.kind === 'private' ? '🔒' : '#'}</span> {room.name}
          </Room>
        ))}
        <h2>Apps</h2>
        {im === undefined ? null : (
          <Room current={im.id === current} count={unread(im)} onClick={() => go(im.id, 'home')}>
            <AppMark small /> {snapshot.app.name}
          </Room>
        )}
      </div>
      <div className="people">
        <h2>Acting as</h2>
        {people.map((person) => (
          <button
            type="button"
            key={person.id}
            data-person={person.id}
            aria-pressed={person.id === snapshot.me}
            disabled={person.deleted}
            onClick={() => become(person.id)}
          >
            <Face person={person} small />
            <span className="who">
              <b>{person.real_name}</b>
              <small>
                {person.deleted ? 'deactivated' : person.is_restricted ? 'guest' : groupsOf(person.id) || person.title}
              </small>
            </span>
            {person.id === snapshot.me ? <span className="here" aria-hidden="true" /> : null}
          </button>
        ))}
      </div>
    </aside>
  );
}

function Room({
  current,
  count,
  onClick,
  children,
}: {
  current: boolean;
  count: number;
  onClick: () => void;
  children: ReactNode;
}): ReactNode {
  return (
    <button type="button" className={count > 0 ? 'room unread' : 'room'} aria-current={current} onClick={onClick}>
      <span className="room-name">{children}</span>
      {count > 0 ? <span className="badge">{count > 99 ? '99+' : count}</span> : null}
    </button>
  );
}
