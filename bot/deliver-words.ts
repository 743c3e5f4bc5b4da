/** A notice as Slack shows it: plain sentences, whom it rings, what it offers. Pure. */
import type { CardJob } from '../queue/cards.ts';
import { actions, isGroupId, isUserId, plain, trusted } from './blocks.ts';
import type { View } from './cards.ts';
import { gateButton } from './gate-button.ts';
import { reply } from './text.ts';

const MOST_RUNG = 50;

/** Mentions, from ids alone. */
export const ringing = (ids: readonly string[]): string =>
  ids
    .slice(0, MOST_RUNG)
    .flatMap((id) => (isGroupId(id) ? `<!subteam^${id}>` : isUserId(id) ? `<@${id}>` : []))
    .join(' ');

type Notice = Pick<Extract<CardJob, { kind: 'notice' }>, 'text' | 'offers'>;

export function noticeView({ text, offers }: Notice, ring: string): Partial<View> & Pick<View, 'text'> {
  const said = ring === '' ? reply(text) : `${ring} ${reply(text)}`;
  if (!offers || offers.length === 0) return { text: said };
  const rung = ring === '' ? [] : [trusted('ring', ring)];
  return { text: said, blocks: [plain('text', text), ...rung, actions('offers', offers.slice(0, 4).map(gateButton))] };
}
