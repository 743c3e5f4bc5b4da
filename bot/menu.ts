/** The menu beside a card's buttons: what is chosen rarely, and asked about once more before it is done. Pure. */
import type { types } from '@slack/bolt';
import type { Card } from '../queue/cards.ts';
import { cut, oneLine } from './text.ts';
import { hasSession } from './words.ts';

/** What was chosen: its value in the menu. */
export type Choice =
  | { readonly kind: 'kill' | 'undo' | 'glass' }
  | { readonly kind: 'grant'; readonly minutes: number };

export function choiceOf(value: string | undefined): Choice | undefined {
  if (value === 'kill' || value === 'undo' || value === 'glass') return { kind: value };
  const grant = /^grant:([1-9]\d{0,3})([mh])$/.exec(value ?? '');
  return grant ? { kind: 'grant', minutes: Number(grant[1]) * (grant[2] === 'h' ? 60 : 1) } : undefined;
}

/** `15 min`, `1 h` */
export const duration = (minutes: number): string => (minutes % 60 === 0 ? `${minutes / 60} h` : `${minutes} min`);

/** `grant:15m`, `grant:1h` */
const grantValue = (minutes: number): string => (minutes % 60 === 0 ? `grant:${minutes / 60}h` : `grant:${minutes}m`);

/** `reviewed`: it can be approved on the card, and so can what has its shape. */
export function menu(card: Card, reviewed: boolean): types.Overflow | undefined {
  const options: types.PlainTextOption[] = [];
  const put = (text: string, value: string) =>
    options.push({ text: { type: 'plain_text', text, emoji: false }, value });
  if (reviewed)
    for (const minutes of (card.grants ?? []).slice(0, 2)) {
      put(`Approve this shape for ${duration(minutes)}`, grantValue(minutes));
    }
  if (card.votes.some(({ decision }) => decision === 'approve')) put('Take back my approval', 'undo');
  if (card.breakGlass) put('Break the glass…', 'glass');
  if (hasSession(card)) put('Kill session', 'kill');
  if (options.length === 0) return undefined;
  // One dialog asks about whatever was chosen: it says of each choice what it does.
  const who = oneLine(card.requester.name, 40);
  const says: Readonly<Record<string, string>> = {
    grant: `Approve this shape: ${who} may run the like again for that time without asking.`,
    undo: 'Take back: your approval does not count any more.',
    glass: 'Break the glass: you are asked for a reason first.',
    kill: `Kill session: ends the whole session of ${who}, not only this request.`,
  };
  const kinds = new Set(options.map(({ value }) => (value ?? '').replace(/:.*/, '')));
  return {
    type: 'overflow',
    action_id: 'more',
    options,
    confirm: {
      title: { type: 'plain_text', text: 'Are you sure?' },
      text: {
        type: 'plain_text',
        text: cut([...kinds].map((kind) => says[kind]).join('\n'), 300),
      },
      confirm: { type: 'plain_text', text: 'Yes' },
      deny: { type: 'plain_text', text: 'No' },
    },
  };
}
