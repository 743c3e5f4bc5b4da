/** Names that stand for one thing when they are described or bound, and for another when the server looks them up. */
import * as build from '../../../gateway/listeners/postgres/builders.ts';
import { type Attack, raw, type Step, say } from '../attack.ts';

const parsed = (name: string, sql: string): Step =>
  raw([build.parse(name, sql), build.describe('S', name), build.sync()]);
const bound = (sql: string): Step => raw([build.parse('e', sql), build.bind('late', 'e'), build.sync()]);
const described = (sql: string): Step =>
  raw([build.parse('e', sql), build.bind('late', 'e'), build.describe('P', 'late'), build.sync()]);
const again = (name: string): Step => raw([build.bind('', name), build.execute(''), build.sync()]);
const late = raw([build.execute('late'), build.sync()]);
const inTenant = say('set search_path = tenant');
const inPublic = say('set search_path = public');
const begin = say('begin');
const commit = say('commit');

/** The name means something harmless first, and a masked column then. */
const preparedAnew = (column: string): readonly Step[] => [
  say('deallocate p'),
  say(`prepare p as select ${column} as label from users2`),
];
const declaredAnew = (column: string): readonly Step[] => [
  say('close c'),
  say(`declare c cursor with hold for select ${column} as label from users2`),
];
const harmless = say('prepare p as select label from plain');
const harmlessCursor = say('declare c cursor with hold for select label from plain');

const one = (id: string, ...steps: readonly Step[]): Attack => ({ id, technique: 'looked up later', steps });

export const LOOKUPS: readonly Attack[] = [
  one('described, then another search_path', inTenant, parsed('s', 'select chars from typed'), inPublic, again('s')),
  one(
    'portal described, then another search_path',
    inTenant,
    described('select chars from typed'),
    inPublic,
    again('e'),
  ),
  one('EXECUTE described, prepared anew', harmless, parsed('e', 'execute p'), ...preparedAnew('card'), again('e')),
  one(
    'EXECUTE by portal described, prepared anew',
    harmless,
    described('execute p'),
    ...preparedAnew('card'),
    again('e'),
  ),
  one(
    'FETCH described, declared anew',
    harmlessCursor,
    parsed('f', 'fetch all from c'),
    ...declaredAnew('card'),
    again('f'),
  ),
  one(
    'FETCH described, declared anew over an expression',
    harmlessCursor,
    parsed('f', 'fetch all from c'),
    ...declaredAnew('reverse(card)'),
    again('f'),
  ),
  one('EXECUTE bound, prepared anew', begin, harmless, described('execute p'), ...preparedAnew('card'), late, commit),
  one(
    'EXECUTE bound, prepared anew in the pipeline',
    harmless,
    raw([
      build.parse('e', 'execute p'),
      build.bind('late', 'e'),
      build.describe('P', 'late'),
      build.close('S', 'p'),
      build.parse('p', 'select reverse(card) as label from users2'),
      build.execute('late'),
      build.sync(),
    ]),
  ),
  one(
    'EXECUTE bound, its execution skipped, prepared anew',
    begin,
    harmless,
    bound('execute p'),
    say('savepoint s'),
    raw([build.parse('', 'select nonsense'), build.execute('late'), build.sync()]),
    say('rollback to s'),
    ...preparedAnew('reverse(card)'),
    late,
    commit,
  ),
  one(
    'FETCH bound, declared anew',
    begin,
    harmlessCursor,
    bound('fetch all from c'),
    ...declaredAnew('reverse(card)'),
    late,
    commit,
  ),
  one(
    'EXECUTE bound, another search_path',
    inTenant,
    begin,
    say('prepare p as select chars || chars from typed'),
    bound('execute p'),
    inPublic,
    late,
    commit,
  ),
  one('COPY bound, another search_path', inTenant, begin, bound('copy users2 to stdout'), inPublic, late, commit),
  one(
    'COPY of a query bound, another search_path',
    inTenant,
    begin,
    bound('copy (select chars from typed) to stdout'),
    inPublic,
    late,
    commit,
  ),
  one(
    'portal of EXECUTE fetched',
    begin,
    say('prepare p as select reverse(card) from users2'),
    bound('execute p'),
    say('fetch all from late'),
    commit,
  ),
  one(
    'portal of EXECUTE fetched, prepared anew',
    begin,
    harmless,
    bound('execute p'),
    ...preparedAnew('reverse(card)'),
    say('fetch all from late'),
    commit,
  ),
  one(
    'portal of FETCH fetched',
    begin,
    say('declare c cursor for select reverse(card) from users2'),
    bound('fetch all from c'),
    say('fetch all from late'),
    commit,
  ),
  one(
    'portal of FETCH from a portal of EXECUTE, prepared anew',
    begin,
    harmless,
    raw([build.parse('', 'execute p'), build.bind('first', ''), build.sync()]),
    bound('fetch all from first'),
    ...preparedAnew('reverse(card)'),
    late,
    commit,
  ),
];
