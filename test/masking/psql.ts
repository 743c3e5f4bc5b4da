/** What psql itself prints for its backslash commands, at the target and through the gateway. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Target } from './client.ts';
import type { Route } from './route.ts';

const run = promisify(execFile);

/** Without `\\dconfig`, which asks `current_setting` for names out of a table: somebody is asked about that. */
const COMMANDS = [
  '\\d',
  '\\d users',
  '\\d+ users',
  '\\d strict',
  '\\d gen',
  '\\d part',
  '\\d+ v_users',
  '\\dt',
  '\\dt+',
  '\\dv',
  '\\dm',
  '\\di',
  '\\ds',
  '\\df f_*',
  '\\df+ f_card',
  '\\sf f_card',
  '\\du',
  '\\l',
  '\\dn',
  '\\dx',
  '\\dT',
  '\\dD',
  '\\dp users',
  '\\ddp',
  '\\encoding',
] as const;

/** psql of an older release than the server asks for columns that are gone: then both say the same. */
export async function comparePsql(route: Route): Promise<readonly string[]> {
  const different: string[] = [];
  for (const command of COMMANDS) {
    const straight = await printed(route.straight, command);
    const through = await printed(await route.target(), command);
    if (straight !== through) different.push(`psql ${command}: ${firstDifference(straight, through)}`);
  }
  return different;
}

async function printed({ host, port, user, password, database }: Target, command: string): Promise<string> {
  const env = { ...process.env, PGPASSWORD: password, PGCONNECT_TIMEOUT: '10', PAGER: '' };
  const args = ['-X', '-h', host, '-p', `${port}`, '-U', user, '-d', database, '-c', command];
  const { stdout, stderr } = await run('psql', args, { env, timeout: 10_000 }).catch((error) => ({
    stdout: String(error.stdout ?? ''),
    stderr: String(error.stderr ?? error),
  }));
  return `${stdout}${stderr}`;
}

function firstDifference(straight: string, through: string): string {
  const lines = through.split('\n');
  const at = straight.split('\n').findIndex((line, n) => line !== lines[n]);
  return `${straight.split('\n')[at] ?? 'nothing'} became ${lines[at] ?? 'nothing'}`;
}
