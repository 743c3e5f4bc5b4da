/** `/gate status`: how this gateway is, in a few lines. */
import { counted } from '../amount.ts';
import type { Holds } from '../holds/broker.ts';
import type { SessionRegistry } from '../listeners/listener.ts';
import { principalKey } from '../operation.ts';
import type { Answers } from './asks.ts';
import { duration } from './words.ts';

export type StatusDeps = {
  readonly gateway: string;
  readonly version: string;
  readonly startedAt: number;
  readonly now: () => number;
  readonly registry: Pick<SessionRegistry, 'list'>;
  readonly holds: Pick<Holds, 'list'>;
  /** Jobs that no bot has taken yet; undefined where Redis does not say. */
  readonly waitingJobs: () => Promise<number | undefined>;
  readonly audit: {
    trouble(): string | undefined;
    lag(): { readonly bytes: number; readonly ms: number };
    head(): { readonly seq: number; readonly hash: string };
  };
  readonly policy: () => { readonly version: string; readonly rules: readonly { readonly source: string }[] };
  /** Version of the rules made in Slack. */
  readonly rulesVersion: () => number;
  /** What is frozen, a sentence each. */
  readonly frozen: () => readonly string[];
  /** Why it is not ready, by part. */
  readonly troubles: () => Promise<Readonly<Record<string, string>>>;
};

export function statusAnswers(deps: StatusDeps): Pick<Answers, 'status'> {
  return {
    status: async (_command, { admin, approver, own }) => {
      const all = admin || approver;
      const mine = ({ principal }: { principal: Parameters<typeof principalKey>[0] & { sponsor?: string } }) =>
        all || own(principalKey(principal), principal.sponsor);
      const sessions = deps.registry.list().filter(mine);
      const holds = deps.holds.list().filter(({ operation }) => mine(operation));
      const now = deps.now();
      const oldest = holds[0] ? `, the oldest for ${duration(now - holds[0].openedAt)}` : '';
      const whose = all ? '' : ' of yours';
      const lines = [
        `${counted(sessions.length, 'session')}${whose}, ${counted(holds.length, 'open hold')}${whose}${oldest}`,
      ];
      const troubles = Object.entries(await deps.troubles()).map(([part, why]) => `${part}: ${why}`);
      if (all) lines.push(...(await inDetail(deps)));
      lines.push(...troubles.map((trouble) => `Not ready: ${trouble}`));
      return {
        ok: true,
        text: '',
        sections: [
          { title: `${troubles.length > 0 ? '🔴' : '🟢'} Gateway ${deps.gateway}`, lines, at: deps.startedAt },
        ],
      };
    },
  };
}

/** What only those who run it need to know. */
async function inDetail(deps: StatusDeps): Promise<string[]> {
  const { audit } = deps;
  const waiting = await deps.waitingJobs();
  const { bytes, ms } = audit.lag();
  const { seq, hash } = audit.head();
  const { version, rules } = deps.policy();
  const trail =
    audit.trouble() ?? (bytes === 0 ? 'on disk' : `${counted(bytes, 'byte')} wait for the disk, ${Math.round(ms)} ms`);
  const fromSlack = rules.filter(({ source }) => source === 'slack').length;
  const frozen = deps.frozen();
  return [
    `Queue to Slack: ${waiting === undefined ? 'Redis does not say' : `${counted(waiting, 'job')} waiting`}`,
    `Audit: entry ${seq.toLocaleString('en-US')} (${hash.slice(0, 12)}), ${trail}`,
    `Rules: ${rules.length - fromSlack} of the file, ${fromSlack} made in Slack (version ${deps.rulesVersion()}), policy ${version.slice(0, 12)}`,
    `Version ${deps.version}, up for ${duration(deps.now() - deps.startedAt)}`,
    ...(frozen.length > 0 ? frozen.map((what) => `🧊 Frozen: ${what}`) : []),
  ];
}
