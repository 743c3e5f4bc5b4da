/** What was released by break-glass and waits for another admin: signed here, once. */
import type { Audit } from '../audit/entry.ts';
import { GatewayError } from '../errors.ts';
import type { GlassBroken } from '../holds/glass.ts';
import { accountsOf, type LinkedPerson } from '../holds/linked.ts';
import type { Reviews } from '../state/reviews.ts';
import type { Answers } from './asks.ts';

export type ReviewDeps = {
  readonly reviews: Pick<Reviews, 'find' | 'sign'>;
  readonly audit: Pick<Audit, 'commit'>;
  readonly people: () => readonly LinkedPerson[];
  /** Tell the thread under the card, and the channel. */
  readonly signed: (record: GlassBroken, by: string) => void;
};

export function reviewAnswers({ reviews, audit, people, signed }: ReviewDeps): Pick<Answers, 'review'> {
  return {
    review: async ({ hold }, asker) => {
      const record = await reviews.find(hold);
      if (!record) return { ok: false, text: 'Nothing of that request waits for a review: it was signed already.' };
      if (!asker.admin) throw new GatewayError('DENIED', 'only an admin reviews a release by break-glass');
      if (accountsOf(people(), record.user).includes(asker.user)) {
        throw new GatewayError('DENIED', 'you broke this glass; another admin has to review it');
      }
      // On record first: a signature nobody can show later is none.
      await audit.commit({ kind: 'review.signed', hold, by: asker.user, brokenBy: record.user, ask: asker.ask });
      if (!(await reviews.sign(hold))) return { ok: false, text: 'Somebody else signed it a moment ago.' };
      signed(record, asker.name);
      return { ok: true, text: `Signed: the release of request ${record.shortId} by ${record.name} is reviewed.` };
    },
  };
}
