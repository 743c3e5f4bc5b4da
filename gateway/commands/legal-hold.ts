/** `countersign audit hold` and `unhold`: whether retention may remove a session's recording. */
import { userInfo } from 'node:os';
import { z } from 'zod';
import { connectCommands, connected } from '../../queue/connection.ts';
import { signingKey, verifyingKey } from '../../queue/sign.ts';
import { openAudit } from '../audit/writer.ts';
import { configPath } from '../config/path.ts';
import { type Config, loadConfig } from '../config.ts';
import { GatewayError } from '../errors.ts';
import { LegalHolds } from '../recordings/legal-holds.ts';
import { LocalStore } from '../recordings/local.ts';
import { recordingOf, type Store } from '../recordings/store.ts';
import { SignedStore } from '../state/signed.ts';
import { Misuse, type Output, parse, type Status } from './command.ts';

const PATIENCE_MS = 5_000;

export async function runHold(what: 'hold' | 'unhold', args: readonly string[], { out }: Output): Promise<Status> {
  const { values, positionals } = parse(args, { config: { type: 'string' } }, ['the session', 'why']);
  const [session = '', why = ''] = positionals;
  if (!z.uuid().safeParse(session).success) throw new Misuse(`${session} is not the id of a session`);
  if (why.trim() === '' || why.length > 500) throw new Misuse('say why in one sentence, of 500 characters at most');
  const config = loadConfig(configPath(values.config));
  const { recordings } = config;
  if (!recordings) throw new GatewayError('CONFIG', 'nothing is recorded: the configuration has no section recordings');
  const local = new LocalStore(recordings.dir);
  const s3 = recordings.store && new (await import('../recordings/s3.ts')).S3Store(recordings.store.s3);
  const own = signingKey(config.keys.own.reveal());
  const trusted = [verifyingKey(own.public), ...config.keys.gateways.map(verifyingKey)];
  const redis = connectCommands(config.state.redis.reveal(), () => {});
  try {
    await connected(redis, PATIENCE_MS);
    const holds = new LegalHolds(new SignedStore(redis, { own, trusted: () => trusted }));
    const here = await fileOf(session, local);
    const file = here ?? (s3 && (await fileOf(session, s3)));
    if (file === undefined) throw new GatewayError('RECORDING', `no recording of session ${session} is there`);
    const by = `cli:${userInfo().username}`.slice(0, 64);
    await onRecord(config, { session, file, held: what === 'hold', why, by });
    const places = [...(here === undefined ? [] : [local]), ...(s3 ? [s3] : [])];
    if (what === 'hold') await holds.hold({ v: 1, session, file, why, by, at: Date.now() }, places);
    else await holds.release(session, file, places);
    out(what === 'hold' ? `${file} stays until it is released` : `${file} is released: retention may remove it`);
    return 0;
  } finally {
    redis.disconnect();
    s3?.close();
  }
}

async function fileOf(session: string, store: Pick<Store, 'list'>): Promise<string | undefined> {
  for await (const { key } of store.list()) if (key.includes(`-${session}.jsonl`)) return recordingOf(key);
}

/** In a chain of its own, as each process has. */
async function onRecord({ audit }: Config, entry: Readonly<Record<string, unknown>>): Promise<void> {
  const trail = await openAudit({
    dir: audit.dir,
    key: signingKey(audit.key.reveal()),
    gateway: 'countersign-audit-hold',
    minFreeBytes: 0,
  });
  try {
    await trail.commit({ ...entry, kind: 'recording.held' });
  } finally {
    await trail.close();
  }
}
