/** What a client may bring along in its first packet. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startup } from './builders.ts';
import { parseFirstPacket, type Startup, startupBodyBytes } from './startup-packet.ts';

function parse(parameters: Record<string, string>): Startup {
  const packet = parseFirstPacket(startup(new Map(Object.entries(parameters))).subarray(4));
  assert.equal(packet.kind, 'startup');
  return (packet as { startup: Startup }).startup;
}
const settings = (options: string) => Object.fromEntries(parse({ user: 'u', options }).parameters);

describe('the start-up packet', () => {
  it('database names the connection; without one, the user does, as on the server', () => {
    assert.equal(parse({ user: 'u', database: 'orders' }).database, 'orders');
    assert.equal(parse({ user: 'u' }).database, 'u');
    assert.equal(parse({ user: 'u', database: '' }).database, 'u');
  });

  it('options are split as the server splits them', () => {
    assert.deepEqual(settings('-c timezone=UTC'), { TimeZone: 'UTC' });
    assert.deepEqual(settings('-ctimezone=UTC\t\n --lock-timeout=5s'), { TimeZone: 'UTC', lock_timeout: '5s' });
    assert.deepEqual(settings('-c application_name=a\\ b\\\\c=d'), { application_name: 'a b\\c=d' });
    assert.deepEqual(settings('-c jit=off -c jit=on'), { jit: 'on' });
    assert.deepEqual(settings('-c application_name='), { application_name: '' });
    assert.deepEqual(settings('   '), {});
    assert.deepEqual(settings('-c application_name=x\\'), { application_name: 'x' });
  });

  it('what is given directly wins over options', () => {
    const { parameters } = parse({ user: 'u', options: '-c datestyle=German', DateStyle: 'ISO' });
    assert.deepEqual([...parameters], [['DateStyle', 'ISO']]);
  });

  it('any spelling of UTF8 passes and is not forwarded; no other encoding does', () => {
    for (const spelling of ['UTF8', 'utf-8', 'Utf_8', "'utf-8'", 'UNICODE']) {
      assert.equal(parse({ user: 'u', client_encoding: spelling }).parameters.size, 0);
      assert.deepEqual(settings(`-c client_encoding=${spelling}`), {});
    }
    for (const other of ['LATIN1', 'SQL_ASCII', 'UTF16', '', 'utf8mb4', 'ＵＴＦ８']) {
      assert.throws(() => parse({ user: 'u', client_encoding: other }), { code: 'SESSION_FRAME' }, other);
    }
  });

  it('refuses everything else, naming it, and always ends', () => {
    for (const [options, named] of [
      ['-c=', /name=value/],
      ['-c', /name=value/],
      ['-c =x', /name=value/],
      ['--', /name=value/],
      ['--=', /name=value/],
      ['-c role=admin', /"role"/],
      ['-c ROLE=admin', /"ROLE"/],
      ['--search_path=evil', /"search_path"/],
      ['--standard-conforming-strings=off', /"standard_conforming_strings"/],
      ['-c session_preload_libraries=x', /"session_preload_libraries"/],
      ['-c plpgsql.check_asserts=off', /"plpgsql\.check_asserts"/],
      ['-d5', /"-d5"/],
      ['-v x', /"-v"/],
      ['timezone=UTC', /"timezone=UTC"/],
      ['\\-c timezone=UTC -W 5', /"-W"/],
      ['-c __proto__=x', /"__proto__"/],
      ['-c constructor=x', /"constructor"/],
    ] as const) {
      assert.throws(() => settings(options), { code: 'SESSION_FRAME', message: named }, options);
    }
    const started = performance.now();
    assert.throws(() => settings('-c='.repeat(3000)), { code: 'SESSION_FRAME' });
    assert.ok(performance.now() - started < 1000);
  });

  it('the length is a packet’s, or refused', () => {
    const field = (length: number) => {
      const out = Buffer.alloc(4);
      out.writeUInt32BE(length);
      return out;
    };
    assert.equal(startupBodyBytes(field(8)), 4);
    assert.equal(startupBodyBytes(field(10_000)), 9_996);
    for (const length of [0, 3, 4, 7, 10_001, 0x7fffffff, 0x80000000, 0xffffffff]) {
      assert.throws(() => startupBodyBytes(field(length)), { code: 'PROTOCOL' }, `${length}`);
    }
  });
});
