/** `/gate holds`: what waits for people on this gateway, and where its cards hang. */
import type { Section } from '../../queue/asks.ts';
import type { Holds, OpenHold } from '../holds/broker.ts';
import { principalKey } from '../operation.ts';
import type { Answers } from './asks.ts';
import { duration, peopleAmong, when, who } from './words.ts';

const MOST_SHOWN = 50;

export type OpenHoldsDeps = {
  readonly gateway: string;
  readonly holds: Pick<Holds, 'list'>;
  readonly redact: (text: string) => string;
  readonly now: () => number;
};

export function holdsAnswers({ gateway, holds, redact, now }: OpenHoldsDeps): Pick<Answers, 'holds'> {
  const shown = (hold: OpenHold): Section => {
    const { operation, demands, counted, deadline, unseen, posted, openedAt, shortId } = hold;
    const wanted = demands.map(
      ({ rule, approvers, quorum }, at) => `${rule}: ${counted[at] ?? 0} of ${quorum} from ${approvers.join(', ')}`,
    );
    return {
      title: `${operation.environment.toUpperCase()} · ${operation.connection}: ${redact(operation.headline)}`,
      lines: [
        `Request ${shortId} of ${who(operation.principal)}`,
        `Waits for ${duration(now() - openedAt)}, until ${when(deadline.at)}`,
        ...wanted,
        ...(unseen === undefined ? [] : [`Nobody sees its card: ${unseen}`]),
        ...(posted || unseen !== undefined ? [] : ['Its card is not up yet']),
      ],
      ...peopleAmong(operation.principal.sponsor, ...demands.flatMap(({ approvers }) => approvers)),
      ...(posted?.permalink === undefined ? {} : { link: posted.permalink }),
      at: openedAt,
    };
  };
  return {
    holds: async (_command, { admin, approver, own }) => {
      const all = admin || approver;
      const open = holds
        .list()
        .filter(({ operation: { principal } }) => all || own(principalKey(principal), principal.sponsor));
      const sections = open.slice(0, MOST_SHOWN).map(shown);
      if (open.length > MOST_SHOWN) {
        sections.push({ lines: [`… and ${open.length - MOST_SHOWN} younger ones on gateway ${gateway}.`] });
      }
      const text = sections.length > 0 ? '' : `Nothing${all ? '' : ' of yours'} waits for approval.`;
      return { ok: true, text, sections };
    },
  };
}
