/** A worker's side of what the workers share: it asks the process that accepts, and answers what the others ask. */
import type { Server, Socket } from 'node:net';
import { GatewayError } from '../../errors.ts';
import type { Listen, Places } from '../../listeners/listener.ts';
import type { Limiter, Rate } from '../../web/limiter.ts';
import type { MetricsAsJson } from '../../web/metrics.ts';
import type { Answers, Crew } from '../crew.ts';
import type { Channel, Handlers } from './channel.ts';
import type { ToPrimary, ToWorker } from './contract.ts';

/** A cancel that took longer would hit some later statement. */
const CANCEL_MS = 10_000;
/** For what the others say: longer than each of them is given to say it. */
const OTHERS_MS = 4_000;

type Asked = 'socket' | 'troubles' | 'metrics' | 'owns' | 'cancel' | 'bury';
type Door = { readonly server: Server; open: number };

export class WorkerCrew implements Crew {
  size = 1;
  number = 1;
  readonly #doors = new Map<string, Door>();
  #channel!: Channel<ToWorker, ToPrimary>;
  #answers: Answers | undefined;
  #placed = 0;

  /** Before anything is asked of it. */
  join(channel: Channel<ToWorker, ToPrimary>, place: { readonly number: number; readonly size: number }): void {
    this.#channel = channel;
    this.number = place.number;
    this.size = place.size;
  }

  readonly handlers: Pick<Handlers<ToWorker>, Asked> = {
    socket: ({ door }, socket) => this.#receive(door, socket),
    troubles: async () => (await this.#answers?.troubles()) ?? { process: 'is starting' },
    metrics: async () => (await this.#answers?.metrics()) ?? [],
    owns: ({ pid }) => this.#answers?.ownsCancelKey(pid) ?? false,
    cancel: async ({ pid, secret }) => {
      await this.#answers?.cancel(pid, Buffer.from(secret, 'hex'));
    },
    bury: async ({ gateway }) => {
      await this.#answers?.bury(gateway).catch(() => {}); // then its lease runs out by itself
    },
  };

  readonly listen = (door: string): Listen => {
    return async (server, address) => {
      this.#doors.set(door, { server, open: 0 });
      const opened = await this.#channel.ask('listen', { door, ...address });
      if ('error' in opened) throw Object.assign(new Error(opened.error), { code: opened.error });
      server.emit('listening'); // it does not listen itself; what begins with that (the clocks of slow requests) must begin
      return opened.port;
    };
  };

  readonly places: Places = {
    take: async (wanted) => {
      const place = ++this.#placed;
      const full = await this.#channel.ask('place', { place, wanted }).catch(() => {
        throw new GatewayError('SHUTDOWN', 'the gateway is stopping', { hint: 'Connect again in a moment.' });
      });
      return full ?? this.#giveBack(place);
    },
    add: (key) => {
      const place = ++this.#placed;
      void this.#channel.tell('add', { place, key });
      return this.#giveBack(place);
    },
  };

  readonly limiter = (name: string, rate: Rate): Limiter => ({
    allow: (address, cost = 1) => this.#channel.ask('allow', { limiter: name, rate, address, cost }),
  });

  readonly cancel = (pid: number, secret: Buffer): Promise<boolean> =>
    this.#channel.ask('cancel', { pid, secret: secret.toString('hex') }, { ms: CANCEL_MS }).catch(() => false);

  readonly troubles = (): Promise<Record<string, string>> =>
    this.#channel
      .ask('troubles', {}, { ms: OTHERS_MS })
      .catch((): Record<string, string> => ({ 'the process that accepts': 'does not answer' }));

  readonly metrics = (mine: MetricsAsJson): Promise<readonly MetricsAsJson[]> =>
    this.#channel.ask('metrics', mine, { ms: OTHERS_MS }).catch(() => []);

  readonly serve = (answers: Answers): void => {
    this.#answers = answers;
  };

  /** Given back once, however often it is called. */
  #giveBack(place: number): () => void {
    let given = false;
    return () => {
      if (given) return;
      given = true;
      void this.#channel.tell('give', { place });
    };
  }

  /** As if the server had accepted it itself. */
  #receive(name: string, socket: Socket | undefined): void {
    const door = this.#doors.get(name);
    const most = door?.server.maxConnections ?? Number.POSITIVE_INFINITY;
    if (!socket || !door || door.open >= most) {
      socket?.destroy();
      void this.#channel.tell('closed', { door: name });
      return;
    }
    door.open += 1;
    socket.once('close', () => {
      door.open -= 1;
      void this.#channel.tell('closed', { door: name });
    });
    socket.allowHalfOpen = 'allowHalfOpen' in door.server && door.server.allowHalfOpen === true;
    door.server.emit('connection', socket);
  }
}
