/** The policy in force: file rules and rules made in Slack, compiled anew whenever either changes. */
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { compile } from '../policy/compile.ts';
import type { Policy, Rule } from '../policy/policy.ts';

/** What `countersign rules` remembers: it must not write where a running gateway does (`verified.ts`). */
export const commandRulesFile = (config: Config): string => join(config.audit.dir, 'rules.command.json');

export class Rulebook {
  readonly #onChange: (policy: Policy) => void;
  #config: Config;
  #slackRules: readonly Rule[] = [];
  #policy: Policy;

  /** `onChange` hears of every policy that replaces another. */
  constructor(config: Config, onChange: (policy: Policy) => void) {
    this.#config = config;
    this.#onChange = onChange;
    this.#policy = this.compiled([]);
  }

  readonly policy = (): Policy => this.#policy;

  takeFile(config: Config): void {
    this.#config = config;
    this.#replace();
  }

  takeSlack(rules: readonly Rule[]): void {
    this.#slackRules = rules;
    this.#replace();
  }

  /** Every approver that anybody may be asked for, admins included. */
  names(): readonly string[] {
    const { approvals } = this.#config;
    const named = this.#policy.rules.flatMap(({ approvers }) => approvers);
    return [...new Set([...approvals.approvers, ...approvals.admins, ...approvals.breakGlass, ...named])];
  }

  /** What would be in force with these rules of Slack's. */
  compiled(slackRules: readonly Rule[]): Policy {
    const { rules, connections, approvals, identity } = this.#config;
    return compile({
      fileRules: rules,
      // Whatever the store holds, it came from Slack: it can add, and never stand in for the file.
      slackRules: slackRules.map((rule) => ({ ...rule, source: 'slack' })),
      connections,
      defaults: approvals,
      issuers: identity.issuers,
    });
  }

  #replace(): void {
    const next = this.compiled(this.#slackRules);
    if (next.version === this.#policy.version) return;
    this.#policy = next;
    this.#onChange(next);
  }
}
