/** What every protocol's listener is to `main`, and the registry of live sessions that can list and end them. */
import type { Server } from 'node:net';
import { type Principal, principalKey } from '../operation.ts';

export type Listener = {
  readonly protocol: string;
  /** Resolves once listening. @throws GatewayError CONFIG when the address cannot be had. */
  start(): Promise<{ readonly host: string; readonly port: number }>;
  /** Stop accepting; tell held clients with a native shutdown error; let running operations end, until `signal`. */
  drain(signal: AbortSignal): Promise<void>;
  /** End everything now. */
  stop(): Promise<void>;
};

/** What records one session as its client saw it. */
export type Tape = {
  /** So much of one result is kept, bytes; beyond it is only counted. */
  readonly resultBytes: number;
  /** What the client was given: the members of a JSON object, without braces. */
  given(members: string): void;
  /** More lies here than can be written: no more should come before `again` is called, once. */
  full(again: () => void): boolean;
  /** The session is over, and its end on record. */
  end(): void;
};

const ACCEPT_BACKLOG = 1_024;

/** Has a server take the connections to an address; resolves with the port. @throws Error as `listen` reports it. */
export type Listen = (server: Server, address: { readonly host: string; readonly port: number }) => Promise<number>;

export const listenHere: Listen = (server, { host, port }) =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, backlog: ACCEPT_BACKLOG }, () => {
      server.off('error', reject);
      const address = server.address();
      resolve(typeof address === 'object' && address ? address.port : port);
    });
  });

export type LiveSession = {
  readonly id: string;
  readonly connection: string;
  readonly protocol: string;
  readonly principal: Principal;
  readonly startedAt: number;
  lastOperationAt: number;
  /** What it asked for last, for people. */
  lastHeadline?: string | undefined;
  /** End it with a native error that gives the reason. */
  end(reason: string): void;
};

/** Counts that hold for several registries at once: those of all processes of one gateway. */
export type Places = {
  /** One more under each key, unless that makes more than `most` of one; answers how to give it back, else that key. */
  take(wanted: readonly Wanted[]): Promise<(() => void) | { readonly full: string; readonly count: number }>;
  /** One more, whatever the count. */
  add(key: string): () => void;
};
export type Wanted = { readonly key: string; readonly most: number };

export class SessionRegistry {
  readonly #live = new Map<string, LiveSession>();
  readonly #reserved = new Set<{ readonly principal: Principal }>();
  readonly #maxPerPrincipal: number;
  readonly #places: Places | undefined;
  /** How to take back what a session counts for elsewhere. */
  readonly #counted = new Map<string, () => void>();

  /** `places`: where the limit holds for more sessions than those of this registry. */
  constructor({ maxPerPrincipal, places }: { maxPerPrincipal: number; places?: Places | undefined }) {
    this.#maxPerPrincipal = maxPerPrincipal;
    this.#places = places;
  }

  /**
   * A place for a log-in that is still on its way: it counts until it is given back. Undefined when that principal
   * already has as many sessions and log-ins as allowed.
   */
  reserve(principal: Principal): (() => void) | undefined | Promise<(() => void) | undefined> {
    if (this.#places) return this.#reserveElsewhere(this.#places, principal);
    const place = { principal };
    if (this.#countOf(principal, [...this.#live.values(), ...this.#reserved]) >= this.#maxPerPrincipal)
      return undefined;
    this.#reserved.add(place);
    return () => this.#reserved.delete(place);
  }

  async #reserveElsewhere(places: Places, principal: Principal): Promise<(() => void) | undefined> {
    const taken = await places.take([{ key: keyOf(principal), most: this.#maxPerPrincipal }]);
    return typeof taken === 'function' ? taken : undefined;
  }

  #countOf({ issuer, subject }: Principal, among: readonly { readonly principal: Principal }[]): number {
    return among.filter(({ principal }) => principal.issuer === issuer && principal.subject === subject).length;
  }

  /** False when that principal already has as many sessions as allowed. */
  add(session: LiveSession): boolean {
    if (this.#countOf(session.principal, this.list()) >= this.#maxPerPrincipal) return false;
    this.#live.set(session.id, session);
    // Its log-in has a place until that is given back, which comes after this.
    if (this.#places) this.#counted.set(session.id, this.#places.add(keyOf(session.principal)));
    return true;
  }

  remove(id: string): void {
    this.#live.delete(id);
    this.#counted.get(id)?.();
    this.#counted.delete(id);
  }

  get(id: string): LiveSession | undefined {
    return this.#live.get(id);
  }

  /** A session asks for this now. */
  asked({ session, headline }: { readonly session: string; readonly headline: string }): void {
    const live = this.#live.get(session);
    if (live) live.lastHeadline = headline;
  }

  list(): LiveSession[] {
    return [...this.#live.values()];
  }

  get size(): number {
    return this.#live.size;
  }
}

const keyOf = (principal: Principal): string => `sessions of ${principalKey(principal)}`;
