/** Slack's mrkdwn as React nodes: nothing is ever set as HTML. */
import { Fragment, type ReactNode, useContext } from 'react';
import { Directory } from './directory.ts';
import { keyed } from './keyed.ts';

const EMOJI: Record<string, string> = {
  white_check_mark: '✅',
  heavy_check_mark: '✔️',
  x: '❌',
  lock: '🔒',
  unlock: '🔓',
  warning: '⚠️',
  no_entry: '⛔',
  no_entry_sign: '🚫',
  rotating_light: '🚨',
  eyes: '👀',
  question: '❓',
  bell: '🔔',
  robot_face: '🤖',
  shield: '🛡️',
  key: '🔑',
  clock3: '🕒',
  hourglass: '⌛',
  hourglass_flowing_sand: '⏳',
  arrow_right: '➡️',
  red_circle: '🔴',
  large_green_circle: '🟢',
  large_yellow_circle: '🟡',
  large_orange_circle: '🟠',
  white_circle: '⚪',
  wave: '👋',
  tada: '🎉',
  thumbsup: '👍',
  thumbsdown: '👎',
  memo: '📝',
  skull: '💀',
  stop_sign: '🛑',
  octagonal_sign: '🛑',
  information_source: 'ℹ️',
  mag: '🔍',
  rocket: '🚀',
  bust_in_silhouette: '👤',
  busts_in_silhouette: '👥',
  zap: '⚡',
};

export const emojiOf = (name: string): string => EMOJI[name] ?? `:${name}:`;

const unescaped = (text: string): string =>
  text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');

/** A plain_text object: no markup but emoji names. */
export function Plain({ text }: { text: string }): ReactNode {
  return <>{text.replace(/:([a-z0-9_+-]{1,40}):/g, (whole, name: string) => EMOJI[name] ?? whole)}</>;
}

export function Mrkdwn({ text }: { text: string }): ReactNode {
  return <>{fenced(text)}</>;
}

function fenced(text: string): ReactNode[] {
  const parts = text.split('```');
  return keyed(parts, (part, index) =>
    index % 2 === 1 && index < parts.length - 1 ? (
      <pre className="code">{unescaped(part.replace(/^\n/, ''))}</pre>
    ) : (
      lines(index % 2 === 1 ? `\`\`\`${part}` : part)
    ),
  );
}

function lines(text: string): ReactNode[] {
  const all = text.split('\n');
  return keyed(all, (line, index) => {
    const quote = line.startsWith('&gt;') || line.startsWith('>');
    const body = quote ? line.replace(/^(&gt;|>) ?/, '') : line;
    return (
      <Fragment>
        {quote ? <span className="quote">{inline(body)}</span> : inline(body)}
        {index < all.length - 1 && !quote ? <br /> : null}
      </Fragment>
    );
  });
}

const TOKEN =
  /(`[^`\n]{1,2000}`)|(<[^<>\n]{1,3000}>)|(:[a-z0-9_+-]{1,40}:)|(\*[^*\n]{1,2000}\*)|(_[^_\n]{1,2000}_)|(~[^~\n]{1,2000}~)/g;
const WORD = /[\p{L}\p{N}]/u;

function inline(text: string): ReactNode[] {
  const out: ReactNode[] = [];
  let at = 0;
  for (const match of text.matchAll(TOKEN)) {
    const [whole, code, entity, emoji, bold, italic, strike] = match;
    const before = text[match.index - 1] ?? ' ';
    const after = text[match.index + whole.length] ?? ' ';
    const emphasis = bold ?? italic ?? strike;
    if (emphasis !== undefined && (WORD.test(before) || WORD.test(after))) continue;
    if (match.index > at) out.push(unescaped(text.slice(at, match.index)));
    at = match.index + whole.length;
    const key = match.index;
    if (code !== undefined) out.push(<code key={key}>{unescaped(code.slice(1, -1))}</code>);
    else if (entity !== undefined) out.push(<Entity key={key} body={entity.slice(1, -1)} />);
    else if (emoji !== undefined) out.push(EMOJI[emoji.slice(1, -1)] ?? emoji);
    else if (bold !== undefined) out.push(<strong key={key}>{inline(bold.slice(1, -1))}</strong>);
    else if (italic !== undefined) out.push(<em key={key}>{inline(italic.slice(1, -1))}</em>);
    else if (strike !== undefined) out.push(<s key={key}>{inline(strike.slice(1, -1))}</s>);
  }
  if (at < text.length) out.push(unescaped(text.slice(at)));
  return out;
}

function Entity({ body }: { body: string }): ReactNode {
  const [target = '', label] = split(body);
  if (target.startsWith('@')) return <PersonMention id={target.slice(1)} />;
  if (target.startsWith('#')) return <ChannelMention id={target.slice(1)} />;
  if (target.startsWith('!subteam^')) return <GroupMention id={target.slice(9)} />;
  if (target.startsWith('!date^')) {
    const [, stamp, format = ''] = target.split('^');
    return <time>{dateText(Number(stamp), format)}</time>;
  }
  if (/^!(here|channel|everyone)$/.test(target)) return <span className="mention me">@{target.slice(1)}</span>;
  if (/^(https?:|mailto:)/.test(target)) {
    return (
      <a href={unescaped(target)} target="_blank" rel="noreferrer">
        {unescaped(label ?? target)}
      </a>
    );
  }
  return <>{unescaped(label ?? `<${target}>`)}</>;
}

const split = (body: string): [string, string | undefined] => {
  const bar = body.indexOf('|');
  return bar < 0 ? [body, undefined] : [body.slice(0, bar), body.slice(bar + 1)];
};

export function PersonMention({ id }: { id: string }): ReactNode {
  const { people, me } = useContext(Directory);
  return <span className={`mention${id === me ? ' me' : ''}`}>@{people.get(id)?.real_name ?? id}</span>;
}

export function GroupMention({ id }: { id: string }): ReactNode {
  const { groups, me } = useContext(Directory);
  const group = groups.get(id);
  return <span className={`mention${group?.users.includes(me) === true ? ' me' : ''}`}>@{group?.handle ?? id}</span>;
}

export function ChannelMention({ id }: { id: string }): ReactNode {
  const { channels } = useContext(Directory);
  return <span className="mention">#{channels.get(id) ?? id}</span>;
}

/** Slack's `<!date^…>` formats, in the reader's own time zone. */
export function dateText(stamp: number, format: string): string {
  const date = new Date(stamp * 1000);
  if (Number.isNaN(date.getTime())) return format;
  const say = (options: Intl.DateTimeFormatOptions): string => new Intl.DateTimeFormat('en', options).format(date);
  const days = Math.round((new Date(date).setHours(0, 0, 0, 0) - new Date().setHours(0, 0, 0, 0)) / 86_400_000);
  const near = { '-1': 'yesterday', '0': 'today', '1': 'tomorrow' }[String(days)];
  const short = say({ day: 'numeric', month: 'short', year: 'numeric' });
  const long = say({ dateStyle: 'full' });
  const plain = say({ dateStyle: 'long' });
  const texts: Record<string, string> = {
    date_num: date.toISOString().slice(0, 10),
    date: plain,
    date_short: short,
    date_long: long,
    date_pretty: near ?? plain,
    date_short_pretty: near ?? short,
    date_long_pretty: near ?? long,
    time: say({ hour: 'numeric', minute: '2-digit', hour12: false }),
    time_secs: say({ hour: 'numeric', minute: '2-digit', second: '2-digit', hour12: false }),
    ago: `${Math.max(0, Math.round((Date.now() - date.getTime()) / 60_000))} minutes ago`,
  };
  return format.replace(/\{(\w+)\}/g, (whole, name: string) => texts[name] ?? whole);
}
