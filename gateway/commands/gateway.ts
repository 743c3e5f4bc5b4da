/** `countersign gateway`: runs the gateway until it is told to stop. */
import { configPath } from '../config/path.ts';
import { type Command, parse } from './command.ts';

export const gateway: Command = {
  summary: 'run the gateway',
  help: `Usage: countersign gateway [--config FILE]

Runs a gateway until SIGTERM or SIGINT: then held clients are told, running operations may end (30 s), exit 0.
A second signal ends it at once. SIGHUP, or a change of the file, reloads rules, connections, keys and the
certificate without dropping sessions; a file with mistakes is refused and the old one stays in force. With \`workers\`
in the file, several processes serve the same addresses; signals go to the one that was started.

  --config FILE   default: COUNTERSIGN_CONFIG, else countersign.yaml`,

  run: async (args) => {
    const { values } = parse(args, { config: { type: 'string' } });
    const { runGateway } = await import('../compose/run.ts');
    return runGateway(configPath(values.config));
  },
};
