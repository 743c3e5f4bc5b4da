/** A card in the richest layout that Slack takes: an approval request is never lost to a layout error. */
import type { Logger } from 'pino';
import type { Card } from '../queue/cards.ts';
import { minimalView, type View } from './cards.ts';
import { refusal, SlackError } from './slack.ts';
import { paused } from './wait.ts';

const FALLBACK_TRIES = 3;

const LAYOUT = new Set([
  'invalid_blocks',
  'invalid_blocks_format',
  'msg_blocks_too_long',
  'msg_too_long',
  'block_mismatch',
  'invalid_arguments',
]);

type Answer = Record<string, unknown>;

/** @throws SlackError what is no fault of the layout. */
export async function laidOut(
  card: Card,
  whole: View,
  log: Logger,
  send: (view: View) => Promise<Answer>,
): Promise<Answer> {
  const plainText: View = { text: whole.text, blocks: [] };
  for (const view of [whole, minimalView(card)]) {
    try {
      return await unlimited(() => send(view), view === whole ? 0 : FALLBACK_TRIES);
    } catch (error) {
      if (!LAYOUT.has(refusal(error) ?? '')) throw error;
      log.error({ hold: card.hold, error: String(error) }, 'Slack refused the layout of a card');
    }
  }
  return unlimited(() => send(plainText), FALLBACK_TRIES);
}

/** A fallback waits out short rate limits: beginning anew would be refused at the first layout again. */
async function unlimited<T>(work: () => Promise<T>, tries: number): Promise<T> {
  for (let left = tries; ; left--) {
    try {
      return await work();
    } catch (error) {
      if (
        !(error instanceof SlackError) ||
        error.problem.kind !== 'limited' ||
        left <= 0 ||
        error.problem.retryMs > 5_000
      )
        throw error;
      await paused(error.problem.retryMs);
    }
  }
}
