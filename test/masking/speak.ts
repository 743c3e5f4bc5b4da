/** A step of an attack as messages. */
import * as build from '../../gateway/listeners/postgres/builders.ts';
import type { Step } from './attack.ts';
import type { End, LabClient } from './client.ts';

/** An Execute with a row limit is repeated so many times at most. */
const MOST_FETCHES = 20;

/** Bind with one result format for all columns. */
export function bindTo(portal: string, statement: string, params: readonly (string | null)[], binary: boolean): Buffer {
  const texts = build.bind(portal, statement, params);
  if (!binary) return texts;
  const body = Buffer.concat([texts.subarray(0, texts.length - 2), Buffer.from([0, 1, 0, 1])]);
  body.writeUInt32BE(body.length - 1, 1);
  return body;
}

/** Sends one step and waits for its end. @param ms for how long silence is borne */
export async function speak(client: LabClient, step: Step, ms: number): Promise<End> {
  const copyIn = step.copy === undefined ? undefined : { text: step.copy, sync: step.protocol === 'extended' };
  if (step.raw) return await client.send(step.raw, step.ready ?? 1, ms, copyIn);
  if (step.protocol === 'simple') return await client.send(build.query(step.sql), 1, ms, copyIn);
  const { describe = 'portal', params = [], binary = false, fetch = 0 } = step;
  const executes = fetch > 0 ? MOST_FETCHES : 1;
  const bytes = [
    build.parse('', step.sql),
    ...(describe === 'statement' ? [build.describe('S', '')] : []),
    bindTo('', '', params, binary),
    ...(describe === 'portal' ? [build.describe('P', '')] : []),
    ...Array.from({ length: executes }, () => build.execute('', fetch)),
    build.sync(),
  ];
  return await client.send(Buffer.concat(bytes), 1, ms, copyIn);
}
