/** The policy in force: file rules and rules made in Slack, compiled anew whenever either changes. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { compile } from '../policy/compile.ts';
import type { Policy, Rule } from '../policy/policy.ts';

/**
 * Beside the evidence, on this gateway's own disk: what Redis once held and may never fall behind. One for each of its
 * processes, so that none writes over what another knows.
 */
export const rulesFile = (config: Config, worker: number): string =>
  join(config.audit.dir, worker === 1 ? 'rules.verified.json' : `rules.verified.${worker}.json`);

/** All of them, whoever wrote them: there may have been more processes before. */
export function rulesFiles({ audit }: Config): string[] {
  const names = readdirSync(audit.dir).filter((name) => /^rules\.verified(?:\.\d+)?\.json$/.test(name));
  return names.sort().map((name) => join(audit.dir, name));
}

/** The same for `countersign rules`, which must not write where a running gateway does. */
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
    this.#policy = this.#compile();
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

  #replace(): void {
    const next = this.#compile();
    if (next.version === this.#policy.version) return;
    this.#policy = next;
    this.#onChange(next);
  }

  #compile(): Policy {
    const { rules, connections, approvals, identity } = this.#config;
    return compile({
      fileRules: rules,
      // Whatever the store holds, it came from Slack: it can add, and never stand in for the file.
      slackRules: this.#slackRules.map((rule) => ({ ...rule, source: 'slack' })),
      connections,
      defaults: approvals,
      issuers: identity.issuers,
    });
  }
}
