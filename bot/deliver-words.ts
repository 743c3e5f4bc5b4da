/** A notice as Slack shows it: plain sentences, whom it rings, what it offers. Pure. */
import type { CardJob } from '../queue/cards.ts';
import { actions, isGroupId, isUserId, paragraphs, plain, spoken, trusted } from './blocks.ts';
import type { View } from './cards.ts';
import { gateButton } from './gate-button.ts';
import { oneLine, reply } from './text.ts';

const MOST_RUNG = 50;

/** Mentions, from ids alone. */
export const ringing = (ids: readonly string[]): string =>
  ids
    .slice(0, MOST_RUNG)
    .flatMap((id) => (isGroupId(id) ? `<!subteam^${id}>` : isUserId(id) ? `<@${id}>` : []))
    .join(' ');

type Notice = Pick<Extract<CardJob, { kind: 'notice' }>, 'text' | 'offers'>;

/** `over`: what is said in the place of buttons that are gone. */
export function noticeView(
  { text, offers = [] }: Notice,
  ring: string,
  over: readonly string[] = [],
): Partial<View> & Pick<View, 'text'> {
  const all = [text, ...over].join(' ');
  const said = ring === '' ? reply(all) : `${ring} ${reply(all)}`;
  if (offers.length === 0 && over.length === 0) return { text: said };
  const rung = ring === '' ? [] : [trusted('ring', ring)];
  const ended = over.length === 0 ? [] : [paragraphs('over', ...over.map((line) => spoken(oneLine(line, 300))))];
  const offered = offers.length === 0 ? [] : [actions('offers', offers.slice(0, 4).map(gateButton))];
  return { text: said, blocks: [plain('text', text), ...rung, ...ended, ...offered] };
}
