/** What a new configuration changes, and which of it waits for the next start. */
import type { Config } from '../config.ts';

/** Paths of keys that differ and are only read at the start. */
export function needsRestart(before: Config, after: Config): string[] {
  const differs = (a: unknown, b: unknown) => JSON.stringify(a) !== JSON.stringify(b);
  return [
    ...(differs(before.listen, after.listen) ? ['listen'] : []),
    ...(before.workers === after.workers ? [] : ['workers']),
    ...(before.state.redis.equals(after.state.redis) ? [] : ['state.redis']),
    ...(before.keys.own.equals(after.keys.own) ? [] : ['keys.own']),
    ...(differs(before.audit, after.audit) || !before.audit.key.equals(after.audit.key) ? ['audit'] : []),
    ...(before.limits.sessionsPerPrincipal === after.limits.sessionsPerPrincipal
      ? []
      : ['limits.sessions_per_principal']),
    ...(before.limits.loginMs === after.limits.loginMs ? [] : ['limits.login']),
  ];
}
