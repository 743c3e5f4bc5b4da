/** Who is at the door: the contract between identity and the listeners. */
import type { Ending } from '../ending.ts';
import type { Principal } from '../operation.ts';

/** A verified credential; lives as long as the session that presented it. */
export type Credential = {
  readonly principal: Principal;
  /** Epoch ms; moves later when the same principal posts a later token. */
  expiresAt(): number;
  /** Aborted when it expires or is revoked; its `reason` is a sentence for the client. Monotonic timer inside. */
  readonly ended: Ending;
  /** Stop watching; call when the session ends. */
  release(): void;
};

export type Authenticator = {
  /**
   * Verify a JWT of a configured issuer or a `cst_…` gateway token.
   * @throws GatewayError AUTH with a message safe to show the client (never says more than it must).
   */
  authenticate(secret: string): Promise<Credential>;
};

/** May this principal use this connection at all? (`access` of the connection; absent means everyone verified.) */
export type AccessRule = { readonly groups?: readonly string[]; readonly subjects?: readonly string[] };
