/** `countersign check --slack`: what the configuration names in Slack, tried with the bot's own environment. */
import type { Config } from '../config.ts';

export type SlackPlaces = {
  readonly channels: readonly string[];
  readonly approvers: readonly { readonly name: string; readonly quorum: number }[];
};

/** Every channel and every approver, with the most people that one of its rules asks for. */
export function placesOf({ approvals, connections, rules }: Config): SlackPlaces {
  const channels = [approvals.channel, ...[...connections, ...rules].flatMap(({ channel }) => channel ?? [])];
  const quorums = new Map<string, number>();
  const need = (names: readonly string[], quorum: number) => {
    for (const name of names) quorums.set(name, Math.max(quorum, quorums.get(name) ?? 1));
  };
  need([...approvals.approvers, ...approvals.admins, ...approvals.breakGlass], 1);
  // Several approvers fill one quorum together: only where there is one must it be enough by itself.
  for (const { approvers, quorum } of rules) need(approvers, approvers.length === 1 ? quorum : 1);
  return {
    channels: [...new Set(channels)],
    approvers: [...quorums].map(([name, quorum]) => ({ name, quorum })),
  };
}

/** @throws BotConfigError where the environment is not a bot's */
export async function checkSlack(config: Config, out: (line: string) => void): Promise<boolean> {
  const [{ checkBot }, { readBotConfig }, { boltLogger, newLog }] = await Promise.all([
    import('../../bot/check.ts'),
    import('../../bot/config.ts'),
    import('../../bot/log.ts'),
  ]);
  const lines = await checkBot(readBotConfig(process.env), boltLogger(newLog('silent')), placesOf(config));
  for (const { ok, text } of lines) out(`${ok ? 'ok    ' : 'FAILED'} slack: ${text}`);
  return lines.every(({ ok }) => ok);
}
