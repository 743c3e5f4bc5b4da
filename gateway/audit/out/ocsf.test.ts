/** Every kind of entry as an OCSF event: the attributes that schema 1.6.0 asks for in its class are there and agree. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Chain, GENESIS, readLine } from '../chain.ts';
import { AUDIT_KINDS, type AuditEntry } from '../entry.ts';
import { renderMembers } from '../render.ts';
import { OcsfWriter } from './ocsf.ts';

type Fields = Record<string, unknown>;

/** One writer's answers to these entries, in order. */
function events(...entries: AuditEntry[]): Fields[] {
  const chain = new Chain(GENESIS);
  const writer = new OcsfWriter('1.2.3');
  return entries.map((entry) => {
    const text = chain.add('2026-01-05T12:00:00.123Z', renderMembers(entry)).toString().trimEnd();
    return JSON.parse(writer.write('boot-gw', readLine(text) ?? assert.fail(text), true)) as Fields;
  });
}
const event = (entry: AuditEntry): Fields => events(entry)[0] ?? assert.fail();

const at = (value: unknown, path: string): unknown =>
  path.split('.').reduce<unknown>((here, name) => (here as Fields | undefined)?.[name], value);
const oneOf = (path: string, names: readonly string[]) => (all: Fields) =>
  names.some((name) => at(all, `${path}${name}`) !== undefined);

/** What each class cannot be without, beyond what every event has; and which activities it knows. */
const CLASSES: Readonly<
  Record<number, { required: string[]; activities: number[]; also?: ((all: Fields) => boolean)[] }>
> = {
  6005: {
    required: ['actor', 'src_endpoint', 'database.name', 'database.type_id'],
    activities: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 99],
    also: [oneOf('', ['database', 'databucket', 'table'])],
  },
  6003: { required: ['actor', 'api.operation', 'src_endpoint'], activities: [0, 1, 2, 3, 4, 99] },
  6002: { required: ['app.name', 'app.vendor_name'], activities: [0, 1, 2, 3, 4, 99] },
  3002: {
    required: ['user'],
    activities: [0, 1, 2, 3, 4, 5, 99],
    also: [oneOf('', ['service', 'dst_endpoint']), oneOf('user.', ['name', 'uid', 'account'])],
  },
  3004: { required: ['entity'], activities: [0, 1, 2, 3, 4, 99], also: [oneOf('entity.', ['name', 'uid'])] },
  0: { required: [], activities: [0, 99] },
};
const EVERY = ['activity_id', 'category_uid', 'class_uid', 'type_uid', 'time', 'severity_id', 'metadata.version'];
const PRODUCT = ['metadata.product.name', 'metadata.product.vendor_name'];
const ENDPOINT = ['ip', 'uid', 'name', 'hostname', 'svc_name', 'instance_uid', 'interface_uid', 'interface_name'];
const ACTOR = ['process', 'user', 'session', 'app_name', 'app_uid'];

function conforms(all: Fields): void {
  const rules = CLASSES[Number(all.class_uid)] ?? assert.fail(`class ${all.class_uid}`);
  for (const path of [...EVERY, ...PRODUCT, ...rules.required]) {
    assert.notEqual(at(all, path), undefined, `${path} is missing in ${JSON.stringify(all)}`);
  }
  assert.ok(rules.activities.includes(Number(all.activity_id)), `activity ${all.activity_id} of ${all.class_uid}`);
  assert.equal(all.type_uid, Number(all.class_uid) * 100 + Number(all.activity_id));
  assert.equal(all.category_uid, Math.floor(Number(all.class_uid) / 1_000));
  assert.equal(all.time, Date.UTC(2026, 0, 5, 12, 0, 0, 123));
  assert.match(String(at(all, 'metadata.version')), /^1\.\d+\.\d+$/);
  assert.ok([0, 1, 2, 3, 4, 5, 6, 99].includes(Number(all.severity_id)));
  assert.ok([0, 1, 2, 99].includes(Number(all.status_id)));
  for (const of of rules.also ?? []) assert.ok(of(all), JSON.stringify(all));
  for (const name of ['src_endpoint', 'dst_endpoint']) {
    if (name in all) assert.ok(oneOf(`${name}.`, ENDPOINT)(all), `${name} names nothing`);
  }
  if ('actor' in all) assert.ok(oneOf('actor.', ACTOR)(all), 'the actor is nobody');
  if ('query_info' in all) assert.equal(typeof at(all, 'query_info.query_string'), 'string');
}

const WHO = { principal: 'https://idp.example#report-bot', connection: 'orders', session: 's-1' };

describe('an entry as an OCSF event', () => {
  for (const kind of AUDIT_KINDS) {
    it(`has what its class requires: ${kind}`, () => {
      conforms(event({ kind })); // an older gateway's, or one that says little
      conforms(
        event({ kind, ...WHO, operation: 'op-1', hold: 'h-1', user: 'U0CAROL', statement: 'SELECT 1', by: ['U0A'] }),
      );
    });
  }

  it('is sorted into classes as documented', () => {
    const classOf = (entry: AuditEntry) => event(entry).class_uid;
    assert.equal(classOf({ kind: 'operation' }), 6005);
    assert.equal(classOf({ kind: 'auth.refused' }), 3002);
    assert.equal(classOf({ kind: 'web.signed-in' }), 3002);
    assert.equal(classOf({ kind: 'rules.edited' }), 3004);
    assert.equal(classOf({ kind: 'hold.vote' }), 6003);
    assert.equal(classOf({ kind: 'start' }), 6002);
    assert.equal(classOf({ kind: 'of a later version' as 'start' }), 0);
  });

  it('names the gravest thing an operation does', () => {
    const activity = (...actions: string[]) => {
      const { activity_id, activity_name } = event({
        kind: 'operation',
        effects: actions.map((action) => ({ action })),
      });
      return activity_id === 99 ? activity_name : activity_id;
    };
    assert.equal(activity('read'), 4);
    assert.equal(activity('read', 'insert'), 5);
    assert.equal(activity('insert', 'delete', 'read'), 7);
    assert.equal(activity('update', 'insert'), 2);
    assert.equal(activity('delete', 'ddl'), 'ddl');
    assert.equal(activity(), 0);
  });

  it('says how it ended, and how grave that is', () => {
    const judged = (entry: AuditEntry) => [event(entry).status_id, event(entry).severity_id];
    assert.deepEqual(judged({ kind: 'operation', verdict: 'allow' }), [1, 1]);
    assert.deepEqual(judged({ kind: 'operation', verdict: 'hold' }), [99, 2]);
    assert.deepEqual(judged({ kind: 'operation', verdict: 'deny' }), [2, 3]);
    assert.deepEqual(judged({ kind: 'outcome', outcome: 'failed' }), [2, 1]);
    assert.deepEqual(judged({ kind: 'outcome', outcome: 'unknown' }), [0, 1]);
    assert.deepEqual(judged({ kind: 'auth.refused', code: 'AUTH' }), [2, 3]);
    assert.deepEqual(judged({ kind: 'web.refused', code: 'AUTH' }), [2, 3]);
    assert.deepEqual(judged({ kind: 'web.signed-out' }), [1, 1]);
    assert.deepEqual(judged({ kind: 'hold.vote', counted: false }), [2, 1]);
    assert.deepEqual(judged({ kind: 'kill' }), [1, 4]);
  });

  it('knows where a session’s operations come from, until it has ended', () => {
    const seen = events(
      { kind: 'session.start', ...WHO, peer: '203.0.113.7:50412' },
      { kind: 'operation', ...WHO },
      { kind: 'session.end', ...WHO },
      { kind: 'operation', ...WHO },
      { kind: 'auth.refused', peer: '[2001:db8::1]:7' },
    ).map(({ src_endpoint }) => src_endpoint);
    const there = { ip: '203.0.113.7', port: 50_412 };
    assert.deepEqual(seen, [there, there, there, { name: 'session', uid: 's-1' }, { ip: '2001:db8::1', port: 7 }]);
  });

  it('loses nothing: what has no attribute is under unmapped', () => {
    const { unmapped, metadata } = event({ kind: 'operation', ...WHO, rules: ['r1'], odd: { deep: 1 } }) as {
      unmapped: Fields;
      metadata: Fields;
    };
    assert.deepEqual([unmapped.rules, unmapped.odd, unmapped.chain], [['r1'], { deep: 1 }, 'boot-gw']);
    assert.match(String(unmapped.hash), /^[0-9a-f]{64}$/);
    assert.deepEqual([metadata.uid, metadata.sequence], ['boot-gw:1', 1]);
  });

  it('says when nobody verified it', () => {
    const text = new Chain(GENESIS).add('2026-01-05T12:00:00.123Z', '"kind":"start"').toString().trimEnd();
    const line = readLine(text) ?? assert.fail();
    const { metadata } = JSON.parse(new OcsfWriter('1').write('c', line, false)) as { metadata: Fields };
    assert.deepEqual(metadata.labels, ['unverified']);
  });
});
