/** `npm run receivers`: a sink against Debian's rsyslog, restarted three times meanwhile; fails unless every line arrives as stored. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { Sink } from '../../gateway/audit/out/sink.ts';
import { SyslogReceiver } from '../../gateway/audit/out/syslog.ts';
import { openAudit } from '../../gateway/audit/writer.ts';
import { newKeyPair, signingKey } from '../../queue/sign.ts';
import { selfSigned } from '../support/door.ts';
import { freePort } from '../support/ports.ts';
import { storedLines } from '../support/receivers.ts';

const ENTRIES = 6_000;
const RESTARTS = 3;
/** Where `rsyslog` and `rsyslog-openssl` are not installed but only unpacked. */
const { RSYSLOGD = 'rsyslogd', RSYSLOG_MODULES } = process.env;

try {
  execFileSync(RSYSLOGD, ['-v'], { stdio: 'ignore' });
} catch {
  console.error('rsyslogd is not there: apt-get install rsyslog rsyslog-openssl (or RSYSLOGD=, RSYSLOG_MODULES=)');
  process.exit(1);
}
const dir = await mkdtemp(join(tmpdir(), 'countersign-rsyslog-'));
const [certificate, port] = [await selfSigned('IP:127.0.0.1'), await freePort()];
const [cert, key, out] = ['cert.pem', 'key.pem', 'out'].map((name) => join(dir, name)) as [string, string, string];
await writeFile(cert, certificate.cert);
await writeFile(key, certificate.key);
await writeFile(out, '');
await writeFile(
  join(dir, 'rsyslog.conf'),
  `global(workDirectory="${dir}" maxMessageSize="1m" parser.escapeControlCharactersOnReceive="off"
  DefaultNetstreamDriverCAFile="${cert}" DefaultNetstreamDriverCertFile="${cert}" DefaultNetstreamDriverKeyFile="${key}")
module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
template(name="raw" type="string" string="%msg%\\n")
input(type="imtcp" port="${port}" ruleset="in")
ruleset(name="in") { action(type="omfile" file="${out}" template="raw") }
`,
);
const start = (): ChildProcess =>
  spawn(
    RSYSLOGD,
    [
      '-n',
      '-f',
      join(dir, 'rsyslog.conf'),
      '-i',
      join(dir, 'pid'),
      ...(RSYSLOG_MODULES ? ['-M', RSYSLOG_MODULES] : []),
    ],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  );
let rsyslog = start();
const trailDir = join(dir, 'trail');
await mkdir(trailDir);
const trail = await openAudit({ dir: trailDir, key: signingKey(newKeyPair().secret), gateway: 'gw', minFreeBytes: 0 });
const say = (details: object, message: string) => console.log(message, JSON.stringify(details));
const sink = new Sink({
  name: 'rsyslog',
  dir: trailDir,
  receiver: new SyslogReceiver({ host: '127.0.0.1', port, facility: 'audit', tls: { ca: certificate.cert } }),
  note: () => {},
  log: { info: say, warn: say, error: say },
});
sink.start();
for (let n = 0; n < ENTRIES; n++) {
  const statement = n % 3 === 0 ? `SELECT "é" ]\\\n${'y'.repeat(n)}` : 'SELECT 1';
  await trail.commit({ kind: 'operation', operation: `op-${n}`, statement });
  if (n % Math.ceil(ENTRIES / RESTARTS) !== Math.ceil(ENTRIES / RESTARTS / 2)) continue;
  rsyslog.kill('SIGTERM');
  await once(rsyslog, 'exit');
  await after(500);
  rsyslog = start();
}
await trail.close();
/** A byte order mark says that a line is not plain ASCII. */
const received = async () => (await readFile(out, 'utf8')).split('\n').map((line) => line.replace(/^ ?\ufeff?/, ''));
const [stored = []] = (await storedLines(trailDir)).values();
let same: string[] = [];
for (const end = performance.now() + 60_000; performance.now() < end && same.length < stored.length; await after(500)) {
  const whole = new Set(stored);
  same = [...new Set(await received())].filter((line) => whole.has(line));
}
await sink.stop(1_000);
rsyslog.kill('SIGTERM');
await once(rsyslog, 'exit');
const all = (await received()).length - 1;
const inOrder = same.every((line, i) => line === stored[i]);
console.log(
  `${same.length} of ${stored.length} arrived as stored, ${inOrder ? 'in order' : 'NOT in order'}; ${all} in all`,
);
await rm(dir, { recursive: true, force: true });
process.exit(same.length === stored.length && inOrder ? 0 : 1);
