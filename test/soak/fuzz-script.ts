/** What a random client does in one session: messages, sound and spoilt, pauses, cancels, and a way to leave. */
import * as build from '../../gateway/listeners/postgres/builders.ts';
import { message, mutate } from './fuzz-grammar.ts';
import type { Random } from './random.ts';

export type Step =
  | { readonly kind: 'send'; readonly bytes: Buffer }
  | { readonly kind: 'wait'; readonly turns: number }
  | { readonly kind: 'cancel' | 'half-close' | 'reset' | 'token-ends' };

const TEXTS = [
  'select 1',
  'select a from t',
  'select $1',
  'select slow',
  'select fails',
  'select nowhere',
  'select "dangerous"()',
  'insert into t values (1) -- later',
  'delete from t -- held',
  'update t set v = 1 -- denied',
  'create table x () -- later',
  'begin',
  'begin',
  'commit',
  'rollback',
  'savepoint s',
  'rollback to s',
  'prepare p as select 1',
  'prepare q as delete from t -- held',
  'prepare d as delete from t -- denied',
  'execute p',
  'execute q',
  'execute d',
  'deallocate p',
  'deallocate all',
  'discard all',
  'declare c cursor for select 1',
  'declare c cursor with hold for select a from t',
  'fetch 1 from c',
  'close c',
  'set search_path = x',
  'show role',
  'copy t from stdin',
  'copy t from stdin -- held',
  'copy t to stdout',
  'do $$x$$',
  '',
  ' ; ',
  'select 1; select 2',
  'select 1; delete from t -- held',
  'select 1; delete from t -- denied',
  'begin; select 1; commit',
  'copy t from stdin; select 1',
  'prepare p as select 2; execute p',
  'syntax error (',
];
const NAMES = ['', '', 's', 'p', 'q', 'c', 'n'.repeat(63), 'n'.repeat(64)];

/** Half of them unlike all others, so that no permit can be taken for another's. */
const text = (r: Random): string => (r.once(2) ? r.pick(TEXTS) : `/* ${r.below(1_000_000)} */ ${r.pick(TEXTS)}`);

function sound(r: Random): Buffer {
  const name = () => r.pick(NAMES);
  switch (r.below(16)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return build.query(text(r));
    case 4:
      return build.parse(name(), text(r));
    case 5:
    case 6: {
      const parameters = r.once(2) ? [] : [`v${r.below(9)}`];
      const [statement, portal] = [name(), name()];
      const parts = [build.parse(statement, text(r)), build.bind(portal, statement, parameters)];
      if (r.once(2)) parts.push(build.describe(r.once(2) ? 'S' : 'P', portal));
      parts.push(build.execute(portal, r.below(2)));
      if (r.once(4)) parts.push(build.flush(), build.execute(portal));
      if (r.once(8))
        parts.push(build.sync(), build.parse(statement, 'select nowhere'), build.sync(), build.bind(portal, statement));
      if (!r.once(3)) parts.push(build.sync());
      return Buffer.concat(parts);
    }
    case 7:
      return build.bind(name(), name(), r.once(2) ? [] : ['v']);
    case 8:
      return build.describe(r.once(2) ? 'S' : 'P', name());
    case 9:
      return build.execute(name(), r.below(2));
    case 10:
      return build.close(r.once(2) ? 'S' : 'P', name());
    case 11:
      return build.flush();
    case 12:
    case 13:
      return build.sync();
    case 14:
      return Buffer.concat([
        build.query('copy t from stdin'),
        ...r.list(4, () => build.copyData(Buffer.from(`${r.below(99)}\n`))),
        r.once(3) ? build.copyFail('no') : build.copyDone(),
      ]);
    default:
      return r.pick([build.copyData(r.bytes(9)), build.copyDone(), build.copyFail('no'), message('frontend', r)]);
  }
}

/** How many messages it counts as, and the steps. */
export function makeScript(r: Random): { readonly steps: readonly Step[]; readonly messages: number } {
  const steps: Step[] = [];
  const messages = 10 + r.below(80);
  const spoilt = r.once(2) ? 25 : 1_000_000; // most sessions die of the first malformed message: half have none
  for (let i = 0; i < messages; i++) {
    const bytes = r.once(spoilt) ? mutate(sound(r), r) : sound(r);
    const at = r.once(4) ? r.below(bytes.length + 1) : bytes.length;
    steps.push({ kind: 'send', bytes: bytes.subarray(0, at) });
    if (at < bytes.length) {
      if (r.once(2)) steps.push({ kind: 'wait', turns: 1 + r.below(3) });
      steps.push({ kind: 'send', bytes: bytes.subarray(at) });
    }
    if (r.once(3)) steps.push({ kind: 'wait', turns: 1 + r.below(12) });
    if (r.once(60)) steps.push({ kind: 'cancel' });
    if (r.once(800)) steps.push({ kind: 'token-ends' });
  }
  const leave = r.below(4);
  if (leave === 0) steps.push({ kind: 'send', bytes: build.terminate() });
  steps.push({ kind: leave === 1 ? 'reset' : 'half-close' });
  return { steps, messages };
}
