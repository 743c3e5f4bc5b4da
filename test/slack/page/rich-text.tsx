/** rich_text blocks: sections, lists, quotes, preformatted. */
import type { ReactNode } from 'react';
import { keyed } from './keyed.ts';
import type { Fields } from './model.ts';
import { ChannelMention, dateText, emojiOf, GroupMention, PersonMention } from './mrkdwn.tsx';

const children = (value: Fields): Fields[] => (Array.isArray(value.elements) ? (value.elements as Fields[]) : []);

export function RichText({ block }: { block: Fields }): ReactNode {
  return (
    <div className="rich">
      {keyed(children(block), (part) => (
        <Part part={part} />
      ))}
    </div>
  );
}

function Part({ part }: { part: Fields }): ReactNode {
  const inside = keyed(children(part), (element) => <Inline element={element} />);
  switch (part.type) {
    case 'rich_text_preformatted':
      return <pre className="code">{inside}</pre>;
    case 'rich_text_quote':
      return <blockquote className="quote">{inside}</blockquote>;
    case 'rich_text_list': {
      const items = keyed(children(part), (item) => (
        <li>
          <Part part={item} />
        </li>
      ));
      return part.style === 'ordered' ? <ol>{items}</ol> : <ul>{items}</ul>;
    }
    default:
      return <div className="rich-section">{inside}</div>;
  }
}

function Inline({ element }: { element: Fields }): ReactNode {
  const style = (element.style ?? {}) as Record<string, boolean>;
  let node: ReactNode;
  switch (element.type) {
    case 'link':
      node = (
        <a href={safeUrl(String(element.url))} target="_blank" rel="noreferrer">
          {String(element.text ?? element.url)}
        </a>
      );
      break;
    case 'user':
      node = <PersonMention id={String(element.user_id)} />;
      break;
    case 'usergroup':
      node = <GroupMention id={String(element.usergroup_id)} />;
      break;
    case 'channel':
      node = <ChannelMention id={String(element.channel_id)} />;
      break;
    case 'broadcast':
      node = <span className="mention me">@{String(element.range)}</span>;
      break;
    case 'emoji':
      node = emojiOf(String(element.name));
      break;
    case 'date':
      node = <time>{dateText(Number(element.timestamp), String(element.format))}</time>;
      break;
    default:
      node = String(element.text ?? '');
  }
  if (style.code) node = <code>{node}</code>;
  if (style.bold) node = <strong>{node}</strong>;
  if (style.italic) node = <em>{node}</em>;
  if (style.strike) node = <s>{node}</s>;
  if (style.underline) node = <u>{node}</u>;
  return node;
}

const safeUrl = (url: string): string => (/^(https?:|mailto:)/.test(url) ? url : '#');
