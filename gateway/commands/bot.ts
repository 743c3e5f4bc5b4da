/** `countersign bot`: the Slack side, for an installation that has both under one command. */
import type { Command, Status } from './command.ts';

export const bot: Command = {
  summary: 'run the Slack side',
  help: `Usage: countersign bot [--check]

Runs a bot until SIGTERM or SIGINT. It is configured by the environment alone (see README): REDIS_URL,
COUNTERSIGN_BOT_KEY, COUNTERSIGN_GATEWAY_KEYS, SLACK_BOT_TOKEN, SLACK_MODE and what that mode needs.

  --check   try the configuration, Redis and Slack, print a line each, and end`,

  run: async (args) => {
    const { main } = await import('../../bot/main.ts');
    return (await main(args, process.env)) as Status;
  },
};
