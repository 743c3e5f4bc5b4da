/** One of several processes behind the same addresses: a gateway of its own, which is told when to begin and to end. */
import { createHmac } from 'node:crypto';
import { type Config, parseConfig } from '../../config.ts';
import { asGatewayError } from '../../errors.ts';
import { type Gateway, startGateway } from '../../main.ts';
import { Secret } from '../../secrets.ts';
import { secureContext } from '../certificate.ts';
import { DRAIN_MS, whenUnforeseen, within } from '../ending.ts';
import { newLog } from '../log.ts';
import { Rulebook } from '../rulebook.ts';
import { Channel } from './channel.ts';
import type { ToPrimary, ToWorker, Written } from './contract.ts';
import { WorkerCrew } from './crew.ts';

const BEAT_MS = 1_000;

/** Runs until it is told to stop, or nobody is there to tell it; resolves with the exit status. */
export async function runWorker(id: string): Promise<0 | 1> {
  let gateway: Gateway | undefined;
  let considered: Config | undefined;
  const asked = once<Written & { number: number; size: number }>();
  const over = once<0 | 1>();
  const crew = new WorkerCrew();
  const channel = new Channel<ToWorker, ToPrimary>(process, {
    start: asked.settle,
    alive: () => {},
    ...crew.handlers,
    consider: (written) => {
      try {
        considered = tried(written);
        return { digest: digestOf(considered, written.salt) };
      } catch (error) {
        return { refused: asGatewayError(error).message };
      }
    },
    take: () => {
      const next = considered;
      if (!next) throw new Error('nothing was considered'); // it asked too late, or another one: not taken up
      gateway?.reload(() => next);
      considered = undefined;
    },
    refuse: ({ why }) => {
      considered = undefined;
      gateway?.reload(() => {
        throw new Error(why);
      });
    },
    drain: () => over.settle(0),
  });
  process.on('disconnect', () => {
    channel.close();
    if (!gateway) process.exit(1);
    over.settle(1); // the process that accepts is gone: nobody would ever end this one
  });
  // A terminal and a supervisor signal every process: the one that accepts says what is to be done.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});

  const { number, size, ...written } = await asked.settled;
  const log = newLog(id, number);
  whenUnforeseen(log, () => {
    void channel.tell('leaving', {});
    if (!gateway) process.exit(1);
    over.settle(1);
  });
  crew.join(channel, { number, size });
  try {
    gateway = await startGateway(parseConfig(written.text, { name: written.path }), { id, log, crew });
  } catch (thrown) {
    const { code, message, hint } = asGatewayError(thrown);
    await channel.tell('failed', { code, message, hint });
    return 1;
  }
  const beat = setInterval(() => void channel.tell('beat', {}), BEAT_MS);
  await channel.tell('started', {});
  const status = await over.settled;
  await within(log, () => gateway?.drain(DRAIN_MS) ?? Promise.resolve());
  clearInterval(beat);
  log.info('worker stopped');
  return status;
}

/** Everything about it that can be wrong, found before anybody takes it up. @throws GatewayError CONFIG */
function tried({ path, text }: Written): Config {
  const config = parseConfig(text, { name: path });
  secureContext(config.tls);
  new Rulebook(config, () => {});
  return config;
}

/** Of all that it amounts to, secrets and files included. */
function digestOf(config: Config, salt: string): string {
  const whole = JSON.stringify(config, function (this: Record<string, unknown>, key, shown) {
    const value = this[key];
    return value instanceof Secret ? value.reveal() : shown;
  });
  return createHmac('sha256', salt).update(whole).digest('hex');
}

function once<T>(): { readonly settled: Promise<T>; readonly settle: (value: T) => void } {
  let settle: (value: T) => void = () => {};
  const settled = new Promise<T>((resolve) => {
    settle = resolve;
  });
  return { settled, settle: (value) => settle(value) };
}
