/** What answers `/gate rules`, tied to the rules that gateways share, to this one's targets and to its evidence. */
import type { Answers } from '../asks/asks.ts';
import { ruleSimulateAnswers } from '../asks/rule-simulate.ts';
import { ruleTestAnswers } from '../asks/rule-test.ts';
import type { Surroundings } from '../asks/rule-words.ts';
import { rulesAnswers } from '../asks/rules.ts';
import type { Audit } from '../audit/entry.ts';
import type { Config } from '../config.ts';
import { systemClock } from '../holds/clock.ts';
import { createProfiles } from '../masking/profiles.ts';
import type { Principal } from '../operation.ts';
import { ruleSchema } from '../policy/schema.ts';
import { RulesHistory } from '../state/rules-history.ts';
import type { Changes } from './changes.ts';
import { explained } from './explained.ts';
import type { Door } from './postgres.ts';
import type { Rulebook } from './rulebook.ts';
import type { Shared } from './shared.ts';

export type RuleAsksDeps = {
  readonly config: () => Config;
  readonly shared: Pick<Shared, 'rules' | 'store'>;
  readonly rulebook: Rulebook;
  readonly audit: Audit;
  readonly changes: Changes;
  readonly liveInspector: Door['liveInspector'];
  /** Which of the gateway's processes this is: they write into one directory, and one of them looks back. */
  readonly worker: number;
  readonly redact: (text: string) => string;
};

type Mine = Extract<keyof Answers, `rule${string}`>;

export function ruleAsks(deps: RuleAsksDeps): Pick<Answers, Mine> {
  const { config, shared, rulebook, audit, changes, redact } = deps;
  const connections = () => config().connections;
  const names = () => connections().map(({ name }) => name);
  const around = (): Surroundings => ({
    fileRules: config().rules,
    slackRules: shared.rules.current().rules,
    connections: names(),
    approvers: config().approvals.approvers,
    issuers: config().identity.issuers,
  });
  return {
    ...rulesAnswers({
      rules: shared.rules,
      history: new RulesHistory(shared.store, ruleSchema),
      around,
      connections,
      defaults: () => config().approvals,
      audit,
      propose: changes.proposals.propose,
      announce: changes.announce,
    }),
    ...ruleTestAnswers({
      connections: names,
      rules: () => rulebook.policy().rules,
      redact,
      explain: (name, sql) => {
        const connection = connections().find((one) => one.name === name)!;
        const principal = nobody(config());
        return explained({
          connection,
          sql,
          principal,
          profile: createProfiles(config()).profileFor(name, principal),
          policy: rulebook.policy(),
          live: deps.liveInspector(name),
        });
      },
    }),
    ...ruleSimulateAnswers({
      dir: () => (deps.worker === 1 ? config().audit.dir : undefined),
      around,
      compiled: (slackRules) => rulebook.compiled(slackRules),
      now: systemClock.now,
    }),
  };
}

/** An agent that no rule names. */
const nobody = ({ identity }: Config): Principal => ({
  issuer: identity.issuers[0]?.issuer ?? '',
  subject: 'nobody in particular',
  kind: 'agent',
  name: 'nobody in particular',
  groups: [],
});
