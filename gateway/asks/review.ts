/** What was released by break-glass and waits for another admin: signed here, once. */
import type { Audit, AuditEntry } from '../audit/entry.ts';
import { GatewayError } from '../errors.ts';
import type { GlassBroken } from '../holds/glass.ts';
import { accountsOf, type LinkedPerson } from '../holds/linked.ts';
import type { FoundReview, Reviews } from '../state/reviews.ts';
import type { Answers, Asker } from './asks.ts';

export type ReviewDeps = {
  readonly reviews: Pick<Reviews, 'find' | 'claim' | 'leave' | 'sign'>;
  readonly audit: Pick<Audit, 'append' | 'commit'>;
  readonly people: () => readonly LinkedPerson[];
  /** Tell the thread under the card, and say it in the place of the buttons that ask for it. */
  readonly signed: (record: GlassBroken, by: string) => void;
};

export function reviewAnswers({ reviews, audit, people, signed }: ReviewDeps): Pick<Answers, 'review'> {
  return {
    review: async ({ hold }, asker) => {
      const found = await reviews.find(hold);
      if (!found) return nothing;
      const { record } = found;
      if (!asker.admin) throw new GatewayError('DENIED', 'only an admin reviews a release by break-glass');
      if (accountsOf(people(), record.user).includes(asker.user)) {
        throw new GatewayError('DENIED', 'you broke this glass; another admin has to review it');
      }
      // One at a time, so that whatever goes on record takes effect.
      if (!(await reviews.claim(hold, asker.ask))) return { ok: false, text: 'Somebody else is signing it right now.' };
      try {
        if (!(await effective({ reviews, audit }, found, asker))) return nothing;
      } finally {
        await reviews.leave(hold, asker.ask).catch(() => {}); // it ends by itself
      }
      signed(record, asker.name);
      return { ok: true, text: `Signed: the release of request ${record.shortId} by ${record.name} is reviewed.` };
    },
  };
}

const nothing = {
  ok: false,
  text: 'Nothing of that request waits for a review: it was signed already, or was not released by break-glass.',
};

/**
 * On record first: a signature nobody can show later is none. Where it then takes no effect after all, or nobody knows,
 * the record says so, too, and the review stays open.
 */
async function effective(
  { reviews, audit }: Pick<ReviewDeps, 'reviews' | 'audit'>,
  found: FoundReview,
  { user, ask }: Pick<Asker, 'user' | 'ask'>,
): Promise<boolean> {
  const { hold, user: brokenBy } = found.record;
  const entry: AuditEntry = { kind: 'review.signed', hold, by: user, brokenBy, ask };
  await audit.commit(entry);
  try {
    const taken = await reviews.sign(hold, found);
    if (!taken) audit.append({ ...entry, failed: 'it was not waiting for a review any more' });
    return taken;
  } catch (cause) {
    audit.append({ ...entry, failed: 'Redis did not say whether it was taken off the list' });
    const message = 'Redis is not reachable: look in App Home whether the review is still open, and sign it then';
    throw new GatewayError('UNAVAILABLE', message, { cause });
  }
}
