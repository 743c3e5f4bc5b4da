/** What an open transaction holds while somebody is asked: its age, its locks, who waits for it. */
import { objectName } from '../catalog/snapshot.ts';
import { displayName } from '../inspect/names.ts';
import { duration, packed } from './amounts.ts';
import { ask, type ReachClient } from './client.ts';
import { AGE, BLOCKED, LOCKS } from './questions.ts';

/** Empty where the target knows no such transaction. @throws pg's error */
export async function transactionLines(client: ReachClient, backend: number): Promise<readonly string[]> {
  const [activity] = await ask(client, AGE, [backend]);
  if (!activity) return [];
  const [waiting] = await ask(client, BLOCKED, [backend]);
  const locks = await ask(client, LOCKS, [backend]);
  const blocked = Number(waiting?.blocked ?? 0);
  const others =
    blocked === 0
      ? 'nobody waits for it'
      : `${blocked} other ${blocked === 1 ? 'session waits' : 'sessions wait'} for it`;
  return [
    `its transaction has been open for ${duration(Number(activity.age))}; ${others}`,
    ...packed(
      'its transaction holds',
      locks.map(
        ({ mode, schema, name }) => `${modeOf(mode)} on ${displayName(objectName(String(schema), String(name)))}`,
      ),
    ),
  ];
}

/** `RowExclusiveLock` → `ROW EXCLUSIVE` */
const modeOf = (mode: unknown): string =>
  String(mode)
    .replace(/Lock$/, '')
    .replace(/([a-z])([A-Z])/g, '$1 $2')
    .toUpperCase();
