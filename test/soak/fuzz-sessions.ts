/** Whole sessions between a random client and the oracle, over streams in memory: nothing unjudged may arrive there. */
import { type Duplex, duplexPair } from 'node:stream';
import type { Audit } from '../../gateway/audit/entry.ts';
import { SessionRegistry } from '../../gateway/listeners/listener.ts';
import { createSessions, type SessionParts } from '../../gateway/listeners/postgres/serve.ts';
import { UNMASKED } from '../../gateway/listeners/postgres/session/shield.ts';
import type { PostgresConnection } from '../../gateway/listeners/postgres/types.ts';
import { TinyInspector } from '../support/tiny-inspector.ts';
import { Ledger, turns, WordGate } from './fuzz-ledger.ts';
import { Oracle } from './fuzz-oracle.ts';
import { makeScript, type Step } from './fuzz-script.ts';
import { Random } from './random.ts';

const STUCK_MS = 20_000;
const LINGER_MS = 30;
const PATIENCE_MS = 20;
const connection: PostgresConnection = {
  name: 'orders',
  environment: 'production',
  searchPath: 'public',
  upstream: { host: '', port: 0, database: '', user: '', password: () => '', tls: 'disable' },
};
const SETTINGS = new Map([
  ['client_encoding', 'UTF8'],
  ['server_encoding', 'UTF8'],
  ['standard_conforming_strings', 'on'],
]);
const audit: Audit = {
  append: () => {},
  commit: async () => {},
  flush: async () => {},
  head: () => ({ seq: 0, hash: '' }),
  trouble: () => undefined,
};

/** The gateway's part: its sessions, a gate that decides by words, and who is in there now. */
export class Stage {
  readonly #inside = new Map<string, { ledger: Ledger; random: Random }>();
  readonly #inspector = new TinyInspector();
  readonly registry = new SessionRegistry({ maxPerPrincipal: 10 });
  readonly #sessions = createSessions({
    registry: this.registry,
    audit,
    gate: new WordGate((subject) => this.#inside.get(subject)!),
    inspectorFor: () => this.#inspector,
    maskingOf: () => UNMASKED,
    limits: { lingerMs: LINGER_MS, pipelinedBytes: 16_384, names: 50, idleMs: 60_000 },
  });
  #unhandled: unknown;
  readonly #onUnhandled = (reason: unknown) => {
    this.#unhandled ??= reason;
  };

  constructor() {
    process.on('unhandledRejection', this.#onUnhandled);
  }

  close(): void {
    process.off('unhandledRejection', this.#onUnhandled);
  }

  /** One session from its greeting to its end. Resolves with what was wrong, in words, or undefined. */
  async play(seed: number, steps: readonly Step[]): Promise<string | undefined> {
    const subject = `agent-${seed}`;
    const ledger = new Ledger();
    this.#inside.set(subject, { ledger, random: new Random(seed ^ 0x5bd1) });
    const [client, downstream] = pair();
    const [target, upstream] = pair();
    const hostile = seed % 3 === 0;
    const oracle = new Oracle(target, { ledger, random: new Random(seed ^ 0x77), hostile });
    const token = new AbortController();
    const cancels: { run: () => void | Promise<void> } = { run: () => {} };
    const parts = partsOf({ subject, downstream, upstream, token, oracle, cancels });
    const over = this.#sessions.runSession(parts);
    await perform(client, steps, { cancel: () => cancels.run(), tokenEnds: () => token.abort('the token ended') });
    // A target that lied may owe its answer for ever; a client that has closed only its side would wait as long.
    const patience = hostile ? setTimeout(() => client.destroy(), PATIENCE_MS) : undefined;
    let late: NodeJS.Timeout | undefined;
    const stuck = new Promise<string>((resolve) => {
      late = setTimeout(resolve, STUCK_MS, 'the session never ends');
    });
    const hung = await Promise.race([over.then(() => undefined), stuck]);
    clearTimeout(late);
    clearTimeout(patience);
    for (const stream of [client, downstream, target, upstream]) stream.destroy();
    this.#inspector.frames.length = 0;
    await turns(2);
    this.#inside.delete(subject);
    const unsettled = ledger.allowed.filter(({ settled }) => settled !== 1).map(({ operation }) => operation.text);
    return (
      ledger.fault ??
      hung ??
      (unsettled.length > 0 ? `permits without an outcome: ${unsettled.join(' | ')}` : undefined) ??
      (this.#unhandled === undefined ? undefined : `unhandled: ${this.#unhandled}`)
    );
  }
}

/** Two ends; what breaks one breaks the other. */
function pair(): [Duplex, Duplex] {
  const ends = duplexPair();
  for (const [one, other] of [ends, [ends[1], ends[0]] as const]) {
    one.on('error', () => {});
    one.once('close', () => other.destroy());
  }
  return ends;
}

function partsOf(given: {
  subject: string;
  downstream: Duplex;
  upstream: Duplex;
  token: AbortController;
  oracle: Oracle;
  cancels: { run: () => void | Promise<void> };
}): SessionParts {
  const { subject, downstream, upstream, token, oracle, cancels } = given;
  return {
    downstream: {
      socket: downstream,
      peer: '127.0.0.1',
      credential: {
        principal: { issuer: 'https://issuer.test', subject, kind: 'agent', name: subject, groups: [] },
        expiresAt: () => Date.now() + 3_600_000,
        ended: token.signal,
        release: () => {},
      },
      connection,
      parameters: new Map(),
      leftover: Buffer.alloc(0),
      cancelKey: { pid: 1, secret: Buffer.alloc(4) },
    },
    upstream: {
      socket: upstream,
      parameters: SETTINGS,
      leftover: Buffer.alloc(0),
      serverMajor: 18,
      cancel: async () => oracle.cancel(),
    },
    onCancel: (handler) => {
      cancels.run = handler;
    },
    onCounted: () => {},
  };
}

type Levers = { readonly cancel: () => void | Promise<void>; readonly tokenEnds: () => void };

async function perform(client: Duplex, steps: readonly Step[], { cancel, tokenEnds }: Levers): Promise<void> {
  client.resume();
  for (const step of steps) {
    if (client.destroyed) return;
    switch (step.kind) {
      case 'send':
        if (client.writable) client.write(step.bytes);
        break;
      case 'wait':
        await turns(step.turns);
        break;
      case 'cancel':
        void cancel();
        break;
      case 'token-ends':
        tokenEnds();
        break;
      case 'half-close':
        client.end();
        break;
      case 'reset':
        client.destroy();
        break;
    }
  }
  if (!client.writableEnded) client.end(); // a shortened script
}

export type Found = { readonly session: number; readonly fault: string; readonly steps: readonly Step[] };

/** The least of a script that still shows a fault. */
export async function shorten(found: Found, stage: Stage): Promise<Found> {
  let least = found;
  for (let size = least.steps.length >>> 1; size > 0; size >>>= 1) {
    for (let at = 0; at < least.steps.length; ) {
      const steps = least.steps.filter((_, i) => i < at || i >= at + size);
      const fault = await stage.play(found.session, steps);
      if (fault === undefined) at += size;
      else least = { ...least, fault, steps };
    }
  }
  return least;
}

const AT_ONCE = 16;

/** A batch of sessions side by side; answers how many messages they were, or what was found. */
export async function playBatch(stage: Stage, first: number): Promise<number | Found> {
  const played = await Promise.all(
    Array.from({ length: AT_ONCE }, async (_, i) => {
      const session = first + i;
      const { steps, messages } = makeScript(new Random(session));
      return { session, steps, messages, fault: await stage.play(session, steps) };
    }),
  );
  for (const { session, steps, fault } of played) if (fault !== undefined) return { session, steps, fault };
  return played.reduce((sum, { messages }) => sum + messages, 0);
}

export const nextBatch = (first: number): number => (first + AT_ONCE) >>> 0;
