/** A gateway of several processes, seen from outside: which of them has which session. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import pg from 'pg';
import type { GatewayProcess } from './world.ts';

export type WorkerProcess = { readonly number: number; readonly pid: number; readonly gateway: string };

/** The workers that serve now, by what the log says: the last of each number. */
export function workersOf(gateway: GatewayProcess): WorkerProcess[] {
  const latest = new Map<number, WorkerProcess>();
  for (const line of readFileSync(gateway.log, 'utf8').split('\n')) {
    if (!line.includes('"a worker serves"')) continue;
    const { worker, pid, serving } = JSON.parse(line) as { worker: number; pid: number; serving: string };
    latest.set(worker, { number: worker, pid, gateway: serving });
  }
  return [...latest.values()].sort((a, b) => a.number - b.number);
}

/** A client whose errors are kept until somebody asks. */
export type Client = pg.Client & { readonly processID: number; readonly ended: Promise<string> };

export async function connect(url: string): Promise<Client> {
  const client = new pg.Client({ connectionString: url }) as Client;
  let told = 'the connection ended';
  client.on('error', (error: Error & { code?: string }) => {
    told = error.code ?? told;
  });
  const ended = new Promise<string>((resolve) => client.once('end', () => resolve(told)));
  await client.connect();
  return Object.assign(client, { ended });
}

/** Whose session is it? Cancel keys carry 15 bits of the gateway's id. */
export function workerOf(client: Client, workers: readonly WorkerProcess[]): WorkerProcess {
  const owner = (id: string) => createHash('sha256').update(id).digest().readUInt16BE(0) >>> 1;
  const found = workers.find(({ gateway }) => owner(gateway) === client.processID >>> 16);
  if (!found) throw new Error(`no worker has the key ${client.processID}`);
  return found;
}

/** As psql does at Ctrl-C: a connection of its own with the session's key; resolves when that is closed. */
export function sendCancel(client: Client, port: number): Promise<void> {
  const { secretKey } = client as unknown as { secretKey: number };
  const packet = Buffer.alloc(16);
  packet.writeInt32BE(16, 0);
  packet.writeInt32BE(80_877_102, 4);
  packet.writeInt32BE(client.processID, 8);
  packet.writeInt32BE(secretKey, 12);
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: '127.0.0.1', port }, () => socket.write(packet));
    socket.on('error', reject).on('close', () => resolve());
    socket.resume();
  });
}

export const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

/** The SQLSTATE that a query ends with; `none` when it succeeds. */
export const sqlstate = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'none',
    (error: { code?: string }) => error.code ?? String(error),
  );
