/** Whoever changes a recording, cuts it, swaps it or takes it away is named by `audit verify --recordings`. */
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import {
  appendFile,
  copyFile,
  cp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { newDir, openTrail, pair } from '../../test/support/trail.ts';
import { eventually } from '../../test/support/workspace.ts';
import { runAuditCommand } from '../audit/command.ts';
import type { AuditTrail } from '../audit/writer.ts';
import { wrappingKey } from './keys.ts';
import { Recorder } from './recorder.ts';

const SEALED_AT = 3; // operations before the first seal; as many follow

describe('audit verify --recordings', () => {
  const trailDir = newDir();
  const made = newDir();
  const paths: { clear: string; other: string; locked: string } = { clear: '', other: '', locked: '' };
  let trail: AuditTrail;

  before(async () => {
    trail = await openTrail(trailDir);
    paths.clear = await record(undefined);
    paths.other = await record(undefined);
    paths.locked = await record(wrappingKey(randomBytes(32).toString('base64')));
    await trail.close();
  });
  after(() => trail.close());

  /** One session, sealed in its middle and at its end; resolves with its path below `made`. */
  async function record(key: ReturnType<typeof wrappingKey> | undefined): Promise<string> {
    let sealed = 0;
    let finished: ((file: string) => void) | undefined;
    const done = new Promise<string>((resolve) => {
      finished = resolve;
    });
    const recorder = new Recorder({
      dir: join(made, 'kept'),
      key,
      gateway: 'gw-test',
      resultBytes: 1_000,
      minFreeBytes: 0,
      audit: {
        append: (entry) => {
          trail.append(entry);
          sealed++;
        },
      },
      endSession: () => {},
      onLive: () => {},
      onFinished: ({ file }) => finished?.(file),
      log: { warn: () => {}, error: () => {} },
    });
    await recorder.start();
    const principal = {
      issuer: 'https://i.example.com',
      subject: 'bot',
      kind: 'agent',
      name: 'bot',
      groups: [],
    } as const;
    const about = { gateway: 'gw-test', connection: 'orders', environment: 'production', protocol: 'postgres' };
    const session = randomUUID();
    const tape = recorder.begin({
      v: 1,
      kind: 'session',
      session,
      startedAt: Date.now(),
      peer: 'p',
      principal,
      ...about,
    });
    const ask = (from: number) => {
      for (let n = from; n < from + SEALED_AT; n++)
        recorder.entered({ kind: 'operation', session }, `"kind":"operation","n":${n}`);
    };
    ask(0);
    await recorder.written();
    const before = sealed;
    await recorder.written(true);
    await eventually(() => sealed > before);
    ask(SEALED_AT);
    tape.end();
    const file = await done;
    await recorder.close();
    return file;
  }

  const verify = async (dir: string) => {
    const lines: string[] = [];
    const code = await runAuditCommand(['verify', trailDir, '--key', pair.public, '--recordings', dir], (line) =>
      lines.push(line),
    );
    return { code, text: lines.join('\n') };
  };
  /** A copy to spoil. */
  const copied = async (): Promise<string> => {
    const dir = newDir();
    await cp(join(made, 'kept'), dir, { recursive: true });
    return dir;
  };
  const changed = async (path: string, change: (bytes: Buffer) => Buffer) =>
    writeFile(path, change(await readFile(path)));

  it('finds nothing to say of what nobody touched', async () => {
    const { code, text } = await verify(join(made, 'kept'));
    assert.match(text, /3 recordings, 3 of them sealed to the last byte\nevery recording fits/);
    assert.equal(code, 0);
  });

  const line = (n: number) => Buffer.from(`"n":${n}}\n`);
  const attacks: [string, (dir: string) => Promise<unknown>, RegExp][] = [
    [
      'a value changed before the first seal',
      (dir) => changed(join(dir, paths.clear), (bytes) => Buffer.from(bytes.toString().replace('"n":1', '"n":7'))),
      /altered: lines 1 to 4 \(bytes 1 to \d+\) are not as entry \d+ of the trail says/,
    ],
    [
      'a value changed behind it',
      (dir) => changed(join(dir, paths.clear), (bytes) => Buffer.from(bytes.toString().replace('"n":4', '"n":7'))),
      /altered: lines 5 to 7 /,
    ],
    [
      'two lines in each other’s place',
      (dir) =>
        changed(join(dir, paths.clear), (bytes) =>
          Buffer.from(bytes.toString().replace('"n":4', '"n":x').replace('"n":5', '"n":4').replace('"n":x', '"n":5')),
        ),
      /altered: lines 5 to 7/,
    ],
    [
      'a line taken out',
      (dir) =>
        changed(join(dir, paths.clear), (bytes) => {
          const to = bytes.indexOf(line(1)) + line(1).length;
          const from = bytes.indexOf(line(0)) + line(0).length;
          return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
        }),
      /altered/,
    ],
    [
      'its end cut off',
      async (dir) => truncate(join(dir, paths.clear), (await readFile(join(dir, paths.clear))).length - 5),
      /truncated: it ends after \d+ bytes; entry \d+ of the trail sealed \d+/,
    ],
    ['all of it cut off', (dir) => truncate(join(dir, paths.clear), 0), /(truncated|swapped)/],
    [
      'something added behind its end',
      (dir) => appendFile(join(dir, paths.clear), '{"t":9,"kind":"outcome"}\n'),
      /altered: 25 bytes follow its end/,
    ],
    [
      'another session’s in its place',
      (dir) => copyFile(join(dir, paths.other), join(dir, paths.clear)),
      /swapped: it is the recording of session/,
    ],
    [
      'two that were exchanged',
      async (dir) => {
        await rename(join(dir, paths.other), join(dir, 'aside'));
        await rename(join(dir, paths.clear), join(dir, paths.other));
        await rename(join(dir, 'aside'), join(dir, paths.clear));
      },
      /swapped[\s\S]*swapped/,
    ],
    [
      'one taken away',
      (dir) => rm(join(dir, paths.other)),
      /missing: entry \d+ of the trail sealed it, and no entry says that it was removed/,
    ],
    [
      'a link to something else',
      async (dir) => {
        await rename(join(dir, paths.clear), join(dir, 'aside'));
        await symlink(join(dir, 'aside'), join(dir, paths.clear));
      },
      /altered|missing/,
    ],
    [
      'a byte of an encrypted one changed',
      (dir) =>
        changed(join(dir, paths.locked), (bytes) => {
          bytes.writeUInt8(bytes.readUInt8(bytes.length - 30) ^ 1, bytes.length - 30);
          return bytes;
        }),
      /altered: bytes \d+ to \d+ are not as entry/,
    ],
    [
      'the key of an encrypted one changed',
      (dir) =>
        changed(join(dir, paths.locked), (bytes) =>
          Buffer.from(
            bytes
              .toString('latin1')
              .replace(/"wrapped":"(.)/, (_all, first) => `"wrapped":"${first === 'A' ? 'B' : 'A'}`),
            'latin1',
          ),
        ),
      /altered/,
    ],
  ];
  for (const [what, spoil, said] of attacks) {
    it(`names ${what}`, async () => {
      const dir = await copied();
      await spoil(dir);
      const { code, text } = await verify(dir);
      assert.match(text, said);
      assert.match(text, /\d recordings? do(es)? not fit/);
      assert.equal(code, 1);
    });
  }

  it('says what nobody sealed, and does not call it tampering', async () => {
    const dir = await copied();
    const session = randomUUID();
    await writeFile(join(dir, `1-${session}.jsonl`), `{"v":1,"kind":"session","session":"${session}"}\n`);
    const { code, text } = await verify(dir);
    assert.match(text, new RegExp(`${session}\\.jsonl: nobody vouches for its last \\d+ bytes`));
    assert.equal(code, 0);
  });

  it('looks at no recording where the trail does not fit', async () => {
    const lines: string[] = [];
    const dir = newDir();
    await cp(trailDir, dir, { recursive: true });
    const [segment] = await readdir(dir);
    await appendFile(join(dir, segment ?? ''), 'x\n');
    const code = await runAuditCommand(['verify', dir, '--key', pair.public, '--recordings', made], (said) =>
      lines.push(said),
    );
    assert.equal(code, 1);
    assert.match(lines.join('\n'), /the recordings were not looked at/);
  });
});
