/** What every protocol's listener is to `main`, and the registry of live sessions that can list and end them. */
import type { Principal } from '../operation.ts';

export type Listener = {
  readonly protocol: string;
  /** Resolves once listening. @throws GatewayError CONFIG when the address cannot be had. */
  start(): Promise<{ readonly host: string; readonly port: number }>;
  /** Stop accepting; tell held clients with a native shutdown error; let running operations end, until `signal`. */
  drain(signal: AbortSignal): Promise<void>;
  /** End everything now. */
  stop(): Promise<void>;
};

export type LiveSession = {
  readonly id: string;
  readonly connection: string;
  readonly protocol: string;
  readonly principal: Principal;
  readonly startedAt: number;
  lastOperationAt: number;
  /** End it with a native error that gives the reason. */
  end(reason: string): void;
};

export class SessionRegistry {
  readonly #live = new Map<string, LiveSession>();
  readonly #reserved = new Set<{ readonly principal: Principal }>();
  readonly #maxPerPrincipal: number;

  constructor({ maxPerPrincipal }: { maxPerPrincipal: number }) {
    this.#maxPerPrincipal = maxPerPrincipal;
  }

  /**
   * A place for a log-in that is still on its way: it counts until it is given back. Undefined when that principal
   * already has as many sessions and log-ins as allowed.
   */
  reserve(principal: Principal): (() => void) | undefined {
    const place = { principal };
    if (this.#countOf(principal, [...this.#live.values(), ...this.#reserved]) >= this.#maxPerPrincipal)
      return undefined;
    this.#reserved.add(place);
    return () => this.#reserved.delete(place);
  }

  #countOf({ issuer, subject }: Principal, among: readonly { readonly principal: Principal }[]): number {
    return among.filter(({ principal }) => principal.issuer === issuer && principal.subject === subject).length;
  }

  /** False when that principal already has as many sessions as allowed. */
  add(session: LiveSession): boolean {
    if (this.#countOf(session.principal, this.list()) >= this.#maxPerPrincipal) return false;
    this.#live.set(session.id, session);
    return true;
  }

  remove(id: string): void {
    this.#live.delete(id);
  }

  get(id: string): LiveSession | undefined {
    return this.#live.get(id);
  }

  list(): LiveSession[] {
    return [...this.#live.values()];
  }

  get size(): number {
    return this.#live.size;
  }
}
