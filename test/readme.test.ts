/** What README.md says is so: codes, commands, keys, variables, files, and the words that clients see. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { runCommand } from '../gateway/commands/commands.ts';
import { parseConfig } from '../gateway/config.ts';
import { ERROR_CODES } from '../gateway/errors.ts';
import { newKeyPair } from '../queue/sign.ts';

const root = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));
const read = (path: string): string => readFileSync(root(path), 'utf8');
const readme = read('README.md');
/** One line and one space between words: a sentence may be wrapped anywhere. */
const flat = readme.replace(/\s+/g, ' ');

const help = async (...args: string[]): Promise<string> => {
  const said: string[] = [];
  const output = { out: (text: string) => void said.push(text), err: (text: string) => void said.push(text) };
  await runCommand([...args, '--help'], output);
  return said.join('\n');
};

describe('README.md', () => {
  it('explains every error code with its SQLSTATE and a remedy, and no code that is not there', () => {
    const rows = [...readme.matchAll(/^\| `([A-Z_]+)` \| ([0-9A-Z]{5}) \| ([^|]+) \| ([^|]+) \|$/gm)];
    assert.deepEqual(
      Object.fromEntries(rows.map(([, code, sqlstate]) => [code, sqlstate])),
      Object.fromEntries(Object.entries(ERROR_CODES).map(([code, { sqlstate }]) => [code, sqlstate])),
    );
    assert.ok(rows.every(([, , , means = '', remedy = '']) => means.trim() !== '' && remedy.trim() !== ''));
  });

  it('names only commands and options that there are, and all of the commands', async () => {
    const overview = await help();
    const listed = [...overview.matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name);
    const rows = [...readme.matchAll(/^\| `countersign ([a-z]+)([^`]*)` \|/gm)];
    assert.deepEqual([...new Set(rows.map(([, name]) => name))].sort(), [...listed].sort());
    for (const [, name = '', rest = ''] of rows) {
      const said = await help(name);
      for (const [word] of rest.matchAll(/--[a-z]+|\b(?:verify|show|test|import|export)\b/g))
        assert.ok(said.includes(word), `countersign ${name} --help does not know ${word}`);
    }
  });

  it('shows only npm scripts that there are', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const used = [...readme.matchAll(/npm run ([a-z]+)|npm (test)\b/g)];
    for (const [whole, one, two] of used) assert.ok((one ?? two ?? '') in scripts, `there is no ${whole}`);
    assert.ok(used.length > 3);
  });

  it('mentions every key of the annotated example', () => {
    const keys = new Set<string>();
    const walk = (value: unknown): void => {
      if (Array.isArray(value)) for (const item of value) walk(item);
      else if (typeof value === 'object' && value !== null)
        for (const [key, inner] of Object.entries(value)) {
          keys.add(key);
          if (key !== 'require') walk(inner);
        }
    };
    walk(parse(read('manifests/countersign.example.yaml')));
    const missing = [...keys].filter((key) => !new RegExp(`[\`.{ ,]${key}[\`:., }]`).test(readme));
    assert.deepEqual(missing, []);
  });

  it('shows rules that the gateway takes', () => {
    const { tls: _, ...example } = parse(read('manifests/countersign.example.yaml'));
    for (const { upstream } of example.connections) delete upstream.ca;
    delete example.audit.sinks;
    delete example.recordings.key;
    const [key, hashing] = [newKeyPair().secret, newKeyPair().secret];
    const readFile = (path: string) => (path.endsWith('masking.key') ? hashing : key);
    const sources = { env: { REDIS_URL: 'redis://127.0.0.1', ORDERS_PW: 'x' }, readFile };
    const shown = [...readme.matchAll(/```yaml\n(rules:[^`]+)```/g)].map(([, text = '']) => parse(text).rules);
    assert.ok(shown.length > 0);
    for (const rules of shown) {
      const config = parseConfig(JSON.stringify({ ...example, listen: { web: '127.0.0.1:0' }, rules }), { sources });
      assert.equal(config.rules.length, rules.length);
    }
  });

  it('shows a first configuration that the gateway takes, once its keys are in it', () => {
    const [, shown = ''] = /```yaml\n( *listen:[\s\S]+?)```/.exec(readme) ?? [];
    const key = newKeyPair();
    const sources = { env: { REDIS_URL: 'redis://127.0.0.1', ORDERS_PW: 'x' }, readFile: () => key.secret };
    const [own, bot] = [key.public, newKeyPair().public];
    const text = shown.replace(/^ {3}/gm, '').replace('ed25519:…', own).replace('ed25519:…', bot);
    const { connections, rules } = parseConfig(text, { sources });
    assert.deepEqual([connections.length, rules.length], [1, 1]);
  });

  it('names every variable of the bot', () => {
    const known = [...read('bot/config.ts').matchAll(/^ {4}([A-Z]+(?:_[A-Z]+)*): /gm)].map(([, name = '']) => name);
    assert.ok(known.length > 10);
    for (const name of known) assert.ok(readme.includes(`\`${name}\``), `${name} is not explained`);
  });

  it('points only at files that are there', () => {
    for (const [, path = ''] of readme.matchAll(/[`(]((?:manifests|test)\/[A-Za-z0-9./_-]+)[`)]/g))
      assert.ok(existsSync(root(path)), `${path} is not there`);
  });

  it('quotes a waiting client in the words it sees', () => {
    const notice =
      /NOTICE: +held for approval · [0-9a-f]{6} · asking \S+ \(0 of 1\) · until \d\d:\d\d:\d\d UTC \(rule\) · schema-changes: Schema changes are reviewed by a DBA/;
    assert.match(flat, notice);
    const words = read('gateway/holds/words.ts');
    for (const part of ['held for approval', '· asking ', 'until $']) assert.ok(words.includes(part), part);
  });
});

describe('manifests', () => {
  it('has a Dockerfile that copies only what there is, and starts what is built', () => {
    const lines = read('manifests/Dockerfile').split('\n');
    const sources = lines
      .filter((line) => /^COPY (?!--from)/.test(line))
      .flatMap((line) => line.split(/\s+/).slice(1, -1));
    assert.ok(sources.length > 4);
    for (const source of sources) assert.ok(existsSync(root(source)), `${source} is not there`);
    const { bin } = JSON.parse(read('package.json')) as { bin: { countersign: string } };
    assert.ok(lines.includes(`ENTRYPOINT ["node", "${bin.countersign}"]`));
  });

  it('has a compose file whose services are the two processes and a durable Redis', async () => {
    const { services } = parse(read('manifests/compose.yaml'));
    assert.deepEqual(Object.keys(services).sort(), ['bot', 'gateway', 'redis']);
    for (const name of ['gateway', 'bot']) {
      assert.equal(services[name].build.dockerfile, 'manifests/Dockerfile');
      assert.ok((await help()).includes(`  ${services[name].command[0]} `));
    }
    assert.match(services.redis.command.join(' '), /--appendonly yes --maxmemory-policy noeviction/);
  });
});
