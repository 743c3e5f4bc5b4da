/** One change of the rules: on record, at once where it tightens; on a card, for a second admin, where it may loosen. */
import type { Offer } from '../../queue/cards.ts';
import type { Audit, AuditEntry } from '../audit/entry.ts';
import { asGatewayError, GatewayError } from '../errors.ts';
import { type LoosenDefaults, loosenings } from '../policy/loosen.ts';
import type { Rule } from '../policy/policy.ts';
import type { RuleSet, RuleStore } from '../state/rules.ts';
import type { Asker, Propose, Said } from './asks.ts';
import { cut } from './bounded.ts';
import { type Difference, difference, differenceText, sameDifference } from './rule-words.ts';

export type ChangeDeps = {
  readonly rules: Pick<RuleStore, 'current' | 'look' | 'write'>;
  /** What rules fall back to, as configured now. */
  readonly defaults: () => LoosenDefaults;
  readonly audit: Pick<Audit, 'append' | 'commit'>;
  readonly propose: Propose;
  /** Tell the approvers' channel. */
  readonly announce: (id: string, text: string, ...offers: Offer[]) => void;
};

export type RulesChange = {
  readonly asker: Asker;
  /** `Rule exports added`: how it is announced. */
  readonly done: string;
  /** Made of the newest rules, also when others wrote meanwhile. @throws GatewayError where that cannot be */
  readonly change: (rules: readonly Rule[]) => readonly Rule[];
};

/** What a change of the rules as they are now would be. */
export function looked({ rules, defaults }: Pick<ChangeDeps, 'rules' | 'defaults'>, change: RulesChange['change']) {
  const before = rules.current().rules;
  const after = change(before);
  return { about: difference(before, after), loosens: loosenings(before, after, defaults()) };
}

/** @throws GatewayError */
export async function changeRules(deps: ChangeDeps, it: RulesChange): Promise<Said> {
  await deps.rules.look(); // judged is what is in force, not what was a second ago
  const { about, loosens } = looked(deps, it.change);
  const text = differenceText(about);
  if (text === '') return { ok: true, text: 'Nothing changes: that is how the rules are.' };
  if (loosens.length === 0) {
    const { version } = await written(deps, it, about, { approvedBy: [], mayLoosen: false });
    const offer = revertOffer(version);
    deps.announce(`rules-${it.asker.ask}`, `${it.done} by ${it.asker.name} (version ${version}):\n${text}`, offer);
    return {
      ok: true,
      text: `${it.done}: version ${version}, on every gateway within two seconds.`,
      sections: [{ lines: [], code: text, buttons: [offer] }],
    };
  }
  const offers: Offer[] = [];
  const shortId = await deps.propose({
    asker: it.asker,
    headline: cut(`Loosen the rules: ${loosens.join('; ')}`, 500),
    text,
    asIs: true, // as /gate rules and announcements print them
    risks: ['loosens the rules'],
    why: 'What loosens the rules needs two admins',
    apply: async (approvedBy) => {
      const { version } = await written(deps, it, about, { approvedBy, mayLoosen: true });
      offers.push(revertOffer(version));
      return `${it.done}: version ${version}`;
    },
    offers,
  });
  return {
    ok: true,
    text: `This loosens the rules (${loosens.join('; ')}): request ${shortId} asks a second admin. Until then nothing changes.`,
    sections: [{ lines: [], code: text }],
  };
}

/** What was asked for and judged, and nothing else: when somebody wrote meanwhile so that it means another thing, nothing. */
async function written(
  { rules, defaults, audit }: ChangeDeps,
  { asker, change }: RulesChange,
  about: Difference,
  { approvedBy, mayLoosen }: { approvedBy: readonly string[]; mayLoosen: boolean },
): Promise<RuleSet> {
  const { removed, added } = about;
  const entry: AuditEntry = {
    kind: 'rules.edited',
    by: asker.user,
    ask: asker.ask,
    approvedBy,
    before: removed,
    after: added,
  };
  await audit.commit(entry);
  try {
    return await rules.write(
      (now) => {
        const next = change(now);
        const same = sameDifference(difference(now, next), about);
        if (!same || (!mayLoosen && loosenings(now, next, defaults()).length > 0)) {
          throw new GatewayError('WITHDRAWN', 'the rules changed meanwhile, and nothing was done; ask again');
        }
        return next;
      },
      asker.user,
      { approvedBy, ask: asker.ask },
    );
  } catch (thrown) {
    audit.append({ ...entry, failed: asGatewayError(thrown).message });
    throw thrown;
  }
}

const revertOffer = (version: number): Offer => ({
  label: 'Revert',
  line: `rules revert ${version}`,
  confirm: `Takes back what version ${version} changed. Where that loosens the rules, a second admin has to agree.`,
});
