/** The catalogue changes behind the gateway's back: columns renamed, views replaced, definitions committed late. */

import * as build from '../../../gateway/listeners/postgres/builders.ts';
import { type Attack, byOwner, bySecond, pause, raw, say } from '../attack.ts';
import { bindTo } from '../speak.ts';

const technique = 'changes behind its back';
const CLEAN = 'CREATE OR REPLACE VIEW v_clean AS SELECT id, label, amount FROM plain';
const DIRTY = 'CREATE OR REPLACE VIEW v_clean AS SELECT id, card AS label, NULL::numeric(10,2) AS amount FROM users2';

const RACED: readonly Attack[] = [
  {
    id: 'a view replaced under a prepared statement',
    technique,
    steps: [
      raw([build.parse('v', 'select label from v_clean'), build.describe('S', 'v'), build.sync()]),
      byOwner(DIRTY),
      raw([bindTo('', 'v', [], false), build.describe('P', ''), build.execute(''), build.sync()]),
    ],
    undo: [CLEAN],
  },
  {
    id: 'a view replaced under an SQL prepared statement',
    technique,
    steps: [say('prepare pv as select label from v_clean'), say('execute pv'), byOwner(DIRTY), say('execute pv')],
    undo: [CLEAN],
  },
  {
    id: 'a view replaced between two texts',
    technique,
    steps: [say('select label from v_clean limit 1'), byOwner(DIRTY), say('select label from v_clean')],
    undo: [CLEAN],
  },
  {
    id: 'a view replaced under a cursor with hold',
    technique,
    steps: [
      say('select label from v_clean limit 1'),
      byOwner(DIRTY),
      say('declare h cursor with hold for select label from v_clean'),
      say('fetch all from h'),
    ],
    undo: [CLEAN],
  },
  {
    id: 'a masked column renamed',
    technique,
    steps: [
      say('select id, card from users2'),
      byOwner('ALTER TABLE users2 RENAME card TO harmless'),
      say('select harmless from users2'),
    ],
    undo: ['ALTER TABLE users2 RENAME harmless TO card'],
  },
  {
    id: 'a masked column renamed under a prepared statement',
    technique,
    steps: [
      raw([build.parse('r', 'select * from users2'), build.sync()]),
      byOwner('ALTER TABLE users2 RENAME card TO harmless'),
      raw([bindTo('', 'r', [], false), build.execute(''), build.sync()]),
      say("select harmless || '' from users2"),
    ],
    undo: ['ALTER TABLE users2 RENAME harmless TO card'],
  },
  {
    id: 'a table renamed over a clean name',
    technique,
    steps: [
      say('select id, label from plain limit 1'),
      byOwner(
        'ALTER TABLE plain RENAME TO plain_old; ALTER TABLE users2 RENAME TO plain; ALTER TABLE plain RENAME note TO label; UPDATE plain SET label = card',
      ),
      say('select label from plain'),
      say("select card || '' from plain"),
    ],
    undo: [
      'ALTER TABLE plain RENAME label TO note; ALTER TABLE plain RENAME TO users2; ALTER TABLE plain_old RENAME TO plain',
    ],
  },
  {
    id: 'a table made since',
    technique,
    steps: [
      say('select 1'),
      byOwner('CREATE TABLE fresh AS SELECT card AS k, card FROM users2; GRANT SELECT ON fresh TO app'),
      say('select card || k from fresh'),
      say('select reverse(card) from fresh'),
    ],
  },
  {
    id: 'a masked column added since',
    technique,
    steps: [
      say('select * from plain limit 1'),
      byOwner('ALTER TABLE plain ADD card text; UPDATE plain SET card = (SELECT card FROM users2 WHERE users2.id = 1)'),
      say('select * from plain limit 1'),
      say('select plain from plain limit 1'),
    ],
    undo: ['ALTER TABLE plain DROP card'],
  },
  {
    id: 'a definition committed late',
    technique,
    steps: [byOwner(`BEGIN; ${DIRTY}`), byOwner('SELECT 1'), byOwner('COMMIT'), say('select label from v_clean')],
    undo: [CLEAN],
  },
  {
    id: 'a function replaced',
    technique,
    steps: [
      byOwner("CREATE FUNCTION shape(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ''x'''"),
      say("select shape('a')"),
      byOwner("CREATE OR REPLACE FUNCTION shape(text) RETURNS text LANGUAGE sql AS 'SELECT max(card) FROM users2'"),
      say("select shape('a')"),
    ],
  },
  {
    id: 'a column dropped and made again',
    technique,
    steps: [
      say('select id, n from users2'),
      byOwner('ALTER TABLE users2 RENAME n TO m; ALTER TABLE users2 ADD n text; UPDATE users2 SET n = card'),
      say("select n || '' from users2 union all select card || '' from users2"),
    ],
    undo: ['ALTER TABLE users2 DROP n; ALTER TABLE users2 RENAME m TO n'],
  },
  {
    id: 'a second session makes it, the first reads it',
    technique,
    steps: [
      bySecond('create table app_s.left_behind as select card as k from users2'),
      say('select k from app_s.left_behind'),
    ],
  },
  {
    id: 'a second session renames within a transaction',
    technique,
    steps: [
      bySecond('begin'),
      bySecond('alter table vault rename note to spare'),
      bySecond('alter table vault rename card to note'),
      bySecond('select note from vault'),
      bySecond('select reverse(note) from vault'),
      bySecond('rollback'),
    ],
  },
  {
    id: 'renamed within a transaction of its own',
    technique,
    steps: [say('begin; alter table vault rename card to plain_text; select plain_text from vault; rollback')],
  },
  {
    id: 'a kid attached',
    technique,
    steps: [
      byOwner('CREATE TABLE foster (LIKE plain)'),
      byOwner('INSERT INTO foster (id, label) SELECT id, card FROM users2; ALTER TABLE foster INHERIT plain'),
      say("select label from plain where id < 3 union all select card || '' from users2"),
    ],
    undo: ['DROP TABLE foster'],
  },
];

/** The gateway looks at the catalogue every second or two. */
const LOOKED_MS = 3_000;

const waits = (attack: Attack): Attack => ({
  ...attack,
  id: `${attack.id}, a while ago`,
  steps: attack.steps.flatMap((step) => (step.by === 'owner' ? [step, pause(LOOKED_MS)] : [step])),
});

const byOwners = RACED.filter(({ steps }) => steps.some(({ by }) => by === 'owner'));

export const RACES: readonly Attack[] = [
  ...RACED.filter((attack) => !byOwners.includes(attack)),
  ...byOwners.map((attack): Attack => ({ ...attack, race: true })),
  // A rule names columns: what its owner renames, or puts in the place of another, is another column from then on.
  ...byOwners.filter(({ steps }) => !steps.some(({ by, sql }) => by === 'owner' && sql.includes('RENAME'))).map(waits),
];
