/** What a button of ours carries, there and back: which request, as it was shown. Pure. */
import type { Card } from '../queue/cards.ts';

/** What a button carries: which hold, which revision of its card, and the start of its digest. Nothing else. */
export const buttonValue = (card: Card): string => `${card.hold}.${card.revision}.${card.digest.slice(0, 12)}`;

export type Pressed = { readonly hold: string; readonly revision: number; readonly digest: string };

/** The value of one of our buttons, or undefined when it is not one. */
export function parseButtonValue(value: string | undefined): Pressed | undefined {
  const match = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([1-9]\d{0,8})\.([0-9a-f]{12})$/.exec(value ?? '');
  return match ? { hold: match[1] as string, revision: Number(match[2]), digest: match[3] as string } : undefined;
}

/** Which request an `actions` block is about. */
export const parseActionsBlockId = (blockId: string | undefined): Pressed | undefined =>
  parseButtonValue(/^actions\.\d+\.\d+\.(.+)$/.exec(blockId ?? '')?.[1]);
