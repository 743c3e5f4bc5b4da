/** Attacks that need a release newer than the oldest one supported: what they are written in is not there before it. */
import type { Attack } from '../attack.ts';

/** Technique → ids, below the first release that has what they use. */
const SINCE: Readonly<Record<number, Readonly<Record<string, readonly string[]>>>> = {
  16: {
    encodings: ['to_oct', 'to_bin'],
    'aggregates and windows': ['any_value'],
    'JSON and XML': ['JSON_OBJECT', 'JSON_ARRAY', 'JSON_ARRAY query', 'JSON_OBJECTAGG', 'JSON_ARRAYAGG'],
    COPY: ['copy in default'],
  },
  17: {
    'JSON and XML': [
      'JSON_SCALAR',
      'JSON_SERIALIZE',
      'JSON_VALUE',
      'JSON_QUERY',
      'JSON_TABLE',
      'JSON_TABLE nested',
      'JSON_TABLE passing',
      'JSON passing',
      'json column table',
    ],
    errors: ['JSON_VALUE'],
    RETURNING: ['merge returning', 'merge returning source', 'merge returning action'],
    'scopes and shadows': ['merge with a cte as source', 'in json_table', 'unqualified, out of json_table 11'],
    'renamed positions': ['merge insert turned'],
  },
  18: {
    arrays: ['array_reverse'],
    'views, kin and functions': ['generated virtual'],
    RETURNING: [
      '18 returning old',
      '18 returning new',
      '18 returning with aliases',
      '18 delete returning old',
      '18 insert returning new',
      '18 old whole row',
      'merge returning old',
      'merge not matched by source',
    ],
  },
};

/** Can this be tried on a target of this release? */
export const possibleOn = (release: number, { technique, id }: Attack): boolean =>
  Object.entries(SINCE).every(
    ([since, techniques]) => release >= Number(since) || !techniques[technique]?.includes(id),
  );
