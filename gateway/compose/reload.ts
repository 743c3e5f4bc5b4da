/** A new configuration, taken up without dropping a session; and which of it waits for the next start. */
import type { SecureContext } from 'node:tls';
import type { Logger } from 'pino';
import type { AuditEntry } from '../audit/entry.ts';
import type { Config } from '../config.ts';
import { asGatewayError } from '../errors.ts';
import type { Secret } from '../secrets.ts';
import { secureContext } from './certificate.ts';
import { described, redact } from './log.ts';
import type { Keys } from './shared.ts';

type Updated = { update(config: Config): void };
type Parts = {
  /** What is in force. */
  readonly now: { config: Config; certificate: SecureContext | undefined };
  readonly web: { renewCertificate(certificate: { cert: string; key: string }): void } | undefined;
  readonly keys: Pick<Keys, 'update'>;
  readonly identity: Updated;
  readonly door: Updated;
  readonly rulebook: { takeFile(config: Config): void; policy(): { readonly version: string } };
  readonly log: Logger;
  readonly note: (entry: AuditEntry) => void;
};

/** A configuration that cannot be read is refused, logged and audited; never throws. */
export function takeUp(read: () => Config, parts: Parts): void {
  const { now, web, keys, identity, door, rulebook, log, note } = parts;
  try {
    const next = read();
    const certificate = secureContext(next.tls);
    const later = needsRestart(now.config, next);
    now.config = next;
    now.certificate = certificate;
    if (next.tls) web?.renewCertificate({ cert: next.tls.cert, key: next.tls.key.reveal() });
    keys.update(next);
    identity.update(next);
    door.update(next);
    rulebook.takeFile(next);
    if (later.length > 0) log.warn({ keys: later }, 'changed, but only read at the next start');
    log.info({ rules: next.rules.length, connections: next.connections.length }, 'configuration taken up');
    note({ kind: 'reload', accepted: true, policy: rulebook.policy().version, later });
  } catch (error) {
    log.error(described(error), 'the configuration was refused; the one before stays in force');
    note({ kind: 'reload', accepted: false, why: redact(asGatewayError(error).message.slice(0, 2_000)) });
  }
}

/** Paths of keys that differ and are only read at the start. */
export function needsRestart(before: Config, after: Config): string[] {
  const differs = (a: unknown, b: unknown) => JSON.stringify(a) !== JSON.stringify(b);
  return [
    ...(differs(before.listen, after.listen) ? ['listen'] : []),
    ...(before.workers === after.workers ? [] : ['workers']),
    ...(before.state.redis.equals(after.state.redis) ? [] : ['state.redis']),
    ...(before.keys.own.equals(after.keys.own) ? [] : ['keys.own']),
    ...(differs(before.audit, after.audit) || !before.audit.key.equals(after.audit.key) ? ['audit'] : []),
    ...(differs(before.recordings, after.recordings) || differsSecretly(before.recordings?.key, after.recordings?.key)
      ? ['recordings']
      : []),
    ...(differs(before.web, after.web) ||
    differsSecretly(before.web?.signIn.clientSecret, after.web?.signIn.clientSecret)
      ? ['web']
      : []),
    ...(before.limits.sessionsPerPrincipal === after.limits.sessionsPerPrincipal
      ? []
      : ['limits.sessions_per_principal']),
    ...(before.limits.loginMs === after.limits.loginMs ? [] : ['limits.login']),
  ];
}

const differsSecretly = (before: Secret | undefined, after: Secret | undefined): boolean =>
  before === undefined || after === undefined ? before !== after : !before.equals(after);
