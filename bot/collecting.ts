/** A card that stands for many requests of one requester: shown, listed, denied as a whole. Never approved as one. Pure. */
import type { types } from '@slack/bolt';
import type { Card } from '../queue/cards.ts';
import { actions, button, heading, paragraphs, person, plain, smallPrint, words } from './blocks.ts';
import { buttonValue } from './pressed.ts';
import { cut, notification, oneLine } from './text.ts';
import { clock, headline, isOpen, slackDate } from './words.ts';

const LISTED_ON_CARD = 5;
const LISTED_IN_WINDOW = 40;

type Collects = NonNullable<Card['collects']>;

/** `Show list`, `Deny all`; the newest few, so that one sees what kind they are. */
export function collectingView(
  card: Card,
  collects: Collects,
  id: (part: string) => string,
  ring: types.KnownBlock[],
): { text: string; blocks: types.KnownBlock[] } {
  const { requester } = card;
  const asked = `${notification(requester.name, 100)} (${requester.kind})`;
  const over = !isOpen(card);
  const end = card.settled?.reason ?? 'decided or withdrawn';
  const text = over
    ? `${notification(headline(card), 700)}. Asked by ${asked}. All are over: ${notification(end, 300)}.`
    : `${notification(headline(card), 700)}. ${asked} asks for so much at once that it shares one card. Request ${notification(card.shortId, 12)}.`;
  const blocks: types.KnownBlock[] = [heading(id('headline'), headline(card))];
  const row = [words('Asked by '), words(oneLine(requester.name, 200), { bold: true }), words(` (${requester.kind})`)];
  if (requester.sponsor) row.push(words(', answered for by '), person(requester.sponsor));
  blocks.push(paragraphs(id('requester'), row));
  if (over) {
    blocks.push(plain(id('record'), `All are over: ${oneLine(end, 500)}.`));
    return { text, blocks };
  }
  const newest = collects.open.slice(0, LISTED_ON_CARD).map((one) => [words(line(one))]);
  const more = collects.open.length - newest.length;
  if (more > 0) newest.push([words(`… and ${more} more waiting: open the list`)]);
  blocks.push(paragraphs(id('newest'), [words('Waiting, newest first:', { bold: true })], ...newest));
  blocks.push(smallPrint(id('deadline'), { parsed: `The last of them expires ${slackDate(card.expiresAt)}` }));
  const value = buttonValue(card);
  const who = oneLine(requester.name, 30);
  blocks.push(
    actions(`${id('actions')}.${value}`, [
      button('list', 'Show list', value, { style: 'primary', says: `Show the requests of ${who} that wait` }),
      denyAll(value, collects.open.length, who),
    ]),
  );
  blocks.push(
    smallPrint(id('how'), 'Each is approved for itself, from the list. There is no way to approve them all.'),
  );
  return { text, blocks: [...blocks, ...ring] };
}

function denyAll(value: string, count: number, who: string): types.Button {
  return {
    ...button('deny-all', 'Deny all', value, { style: 'danger', says: `Deny all requests of ${who} that wait` }),
    confirm: {
      title: { type: 'plain_text', text: 'Deny them all?' },
      text: {
        type: 'plain_text',
        text: cut(`Denies everything of ${who} that waits under this card, ${count} now.`, 300),
      },
      confirm: { type: 'plain_text', text: 'Deny all' },
      deny: { type: 'plain_text', text: 'Back' },
      style: 'danger',
    },
  };
}

const line = ({ shortId, headline }: Collects['open'][number]): string =>
  `${oneLine(shortId, 12)} · ${oneLine(headline, 200)}`;

/** One of the requests in the list: its card, where the bot has it. */
export type Listed = { readonly entry: Collects['open'][number]; readonly card: Card | undefined };

export const inList = (collects: Collects): Collects['open'] => collects.open.slice(0, LISTED_IN_WINDOW);

/** The list in a window: each with Details, from whose last page it is approved or denied. */
export function listModal(card: Card, listed: readonly Listed[], memory: string): types.ModalView {
  const total = card.collects?.open.length ?? 0;
  const blocks: types.KnownBlock[] = [
    plain('headline', headline(card)),
    smallPrint('page', `As of ${clock(Date.now())} · newest first · open Details to decide one`),
  ];
  for (const [index, { entry, card: own }] of listed.entries()) {
    const section: types.SectionBlock = plain(`one.${index}`, line(entry));
    if (own && isOpen(own)) {
      section.accessory = button('details', 'Details', buttonValue(own), { says: `Details of request ${own.shortId}` });
    }
    blocks.push(section);
  }
  if (total > listed.length) blocks.push(plain('more', `… and ${total - listed.length} older ones`));
  return {
    type: 'modal',
    callback_id: 'list',
    private_metadata: memory,
    title: { type: 'plain_text', text: 'Waiting requests', emoji: false },
    close: { type: 'plain_text', text: 'Close', emoji: false },
    blocks,
  };
}
