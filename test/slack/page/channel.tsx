/** A channel's messages, oldest first, with threads below their message; and the box to write in. */
import { type ReactNode, useContext, useLayoutEffect, useRef, useState } from 'react';
import { Blocks, type Handlers } from './blocks.tsx';
import { Directory } from './directory.ts';
import { AppMark } from './modal.tsx';
import type { Channel, Message } from './model.ts';
import { Mrkdwn } from './mrkdwn.tsx';
import { Face } from './sidebar.tsx';

const TOGETHER_S = 300; // messages of one sender this close show one name
const NEAR_BOTTOM_PX = 120;

interface Props {
  channel: Channel;
  appName: string;
  click: (ts: string) => Handlers['click'];
}

export function ChannelView({ channel, appName, click }: Props): ReactNode {
  const box = useRef<HTMLDivElement>(null);
  const stick = useRef(true);
  const shown = useRef(channel.id);
  useLayoutEffect(() => {
    if (shown.current !== channel.id) stick.current = true; // another channel starts at its end
    shown.current = channel.id;
    const element = box.current;
    if (element !== null && stick.current) element.scrollTop = element.scrollHeight;
  });
  const onScroll = (): void => {
    const element = box.current;
    if (element !== null)
      stick.current = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_BOTTOM_PX;
  };
  const parents = channel.messages.filter((one) => one.thread_ts === undefined || one.thread_ts === one.ts);
  const replies = (ts: string): Message[] => channel.messages.filter((one) => one.thread_ts === ts && one.ts !== ts);
  return (
    <div className="messages" ref={box} onScroll={onScroll}>
      <div className="spring" />
      <div className="intro">
        <span className="intro-mark">{channel.kind === 'im' ? <AppMark /> : '#'}</span>
        <h2>{channel.kind === 'im' ? appName : channel.name}</h2>
        <p>
          {channel.kind === 'im'
            ? 'Messages between you and the app.'
            : `This is the beginning of #${channel.name}. ${channel.topic}.`}
        </p>
      </div>
      {parents.map((message, index) => {
        const before = parents[index - 1];
        const newDay = before === undefined || dayOf(before.ts) !== dayOf(message.ts);
        return (
          <div key={message.ts}>
            {newDay ? (
              <div className="day">
                <span>{dayOf(message.ts)}</span>
              </div>
            ) : null}
            <Post
              message={message}
              appName={appName}
              click={click(message.ts)}
              bare={!newDay && follows(before, message)}
            />
            {replies(message.ts).map((reply) => (
              <div className="reply" key={reply.ts}>
                <Post message={reply} appName={appName} click={click(reply.ts)} bare={false} />
              </div>
            ))}
          </div>
        );
      })}
    </div>
  );
}

const follows = (before: Message | undefined, message: Message): boolean =>
  before !== undefined &&
  before.user === message.user &&
  before.app === message.app &&
  !before.ephemeral &&
  !message.ephemeral &&
  message.blocks === undefined &&
  Number(message.ts) - Number(before.ts) < TOGETHER_S;

const dayOf = (ts: string): string => {
  const date = new Date(Number(ts) * 1000);
  const today = date.toDateString() === new Date().toDateString();
  return today ? 'Today' : date.toLocaleDateString('en', { weekday: 'long', month: 'long', day: 'numeric' });
};

const timeOf = (ts: string): string =>
  new Date(Number(ts) * 1000).toLocaleTimeString('en', { hour: '2-digit', minute: '2-digit', hour12: false });

interface PostProps {
  message: Message;
  appName: string;
  click: Handlers['click'];
  bare: boolean;
}

function Post({ message, appName, click, bare }: PostProps): ReactNode {
  const { people } = useContext(Directory);
  const person = people.get(message.user);
  const name = message.ours ? appName : (message.username ?? person?.real_name ?? message.user);
  return (
    <article className={`post${message.ephemeral ? ' ephemeral' : ''}${bare ? ' bare' : ''}`} data-ts={message.ts}>
      <div className="gutter">
        {bare ? (
          <time className="when">{timeOf(message.ts)}</time>
        ) : message.ours ? (
          <AppMark />
        ) : (
          <Face person={person} />
        )}
      </div>
      <div className="content">
        {message.ephemeral ? (
          <p className="only-you">
            <span aria-hidden="true">◉</span> Only visible to you
          </p>
        ) : null}
        {bare ? null : (
          <p className="byline">
            <b>{name}</b>
            {message.app ? <span className="tag">APP</span> : null}
            <time>{timeOf(message.ts)}</time>
          </p>
        )}
        {message.blocks === undefined ? (
          <div className="text">
            <Mrkdwn text={message.text} />
            {message.edited ? <span className="edited"> (edited)</span> : null}
          </div>
        ) : (
          <Blocks blocks={message.blocks} on={{ click }} />
        )}
      </div>
    </article>
  );
}

export function Composer({ label, send }: { label: string; send: (text: string) => Promise<boolean> }): ReactNode {
  const [text, setText] = useState('');
  const submit = async (): Promise<void> => {
    const said = text.trim();
    if (said === '') return;
    setText('');
    if (!(await send(said))) setText(said);
  };
  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <textarea
        aria-label={`Message ${label}`}
        placeholder={`Message ${label}`}
        rows={1}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
          event.preventDefault();
          void submit();
        }}
      />
      <button type="submit" className="send" aria-label="Send" disabled={text.trim() === ''}>
        ➤
      </button>
    </form>
  );
}
