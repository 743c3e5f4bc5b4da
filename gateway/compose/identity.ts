/** Who is at the door: tokens, revocations and the register of agents, over what the gateways share. */
import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import { type Exchange, GatewayAuthenticator, type IdentitySettings } from '../identity/authenticator.ts';
import { groupNamed } from '../identity/groups.ts';
import type { AccessRule } from '../identity/identity.ts';
import { createVerifier } from '../identity/oidc.ts';
import type { Principal } from '../operation.ts';
import { AgentRegister } from '../state/agents.ts';
import { Revocations, type Subscriber } from '../state/revocations.ts';
import type { SignedStore } from '../state/signed.ts';
import { TokenStore } from '../state/tokens.ts';
import { described } from './log.ts';

export type Identity = ReturnType<typeof createIdentity>;

export function createIdentity(deps: { store: SignedStore; config: () => Config; log: Logger }) {
  const { store, config, log } = deps;
  const onTrouble = (reason: string) => log.warn(described(reason), 'identity');
  const settings = ({ identity }: Config): IdentitySettings => ({
    verifier: createVerifier({
      issuers: identity.issuers,
      onTrouble: (details) => log.warn({ ...described(details.reason), issuer: details.issuer }, 'an issuer’s keys'),
    }),
    directory: identity,
  });
  const revocations = new Revocations({ store, configured: () => config().identity.revoked, onTrouble });
  const authenticator = new GatewayAuthenticator({
    store,
    tokens: new TokenStore(store),
    revocations,
    settings: settings(config()),
    onTrouble,
  });
  const register = new AgentRegister({ store, onTrouble });
  return {
    authenticator,
    revocations,
    register,
    /** As the authenticator's; a person's groups are remembered, for rules that name `oidc:` approvers. */
    exchange: async (jwt: string): Promise<Exchange> => {
      const exchange = await authenticator.exchange(jwt);
      void register.seen(exchange.principal);
      return exchange;
    },
    /** Slack ids of the linked people in `oidc:<group>`. */
    oidcMembers: (name: string): Promise<string[]> => {
      const { issuers, people } = config().identity;
      const { issuer, group } = groupNamed(name, issuers);
      const linked = people.filter((person) => person.issuer === issuer);
      return register.membersOf(group, linked);
    },
    start: (subscriber: Subscriber) => {
      revocations.start(subscriber);
      authenticator.start(subscriber);
    },
    /** Take up a new configuration; who is known differently by it has to sign in again. */
    update: (next: Config) => {
      authenticator.reconfigure(settings(next));
      revocations.recheck();
    },
    stop: () => {
      authenticator.stop();
      revocations.stop();
    },
  };
}

/**
 * Absent means everyone verified. A subject stands with its issuer (`issuer#subject`), and so does a group where
 * several issuers have groups (the configuration is refused otherwise): neither alone is anybody.
 */
export function admits(access: AccessRule | undefined, { issuer, subject, groups }: Principal): boolean {
  if (access === undefined) return true;
  const mine = new Set(groups.map((group) => `${issuer}#${group}`));
  const inGroup = (named: string) => (named.includes('#') ? mine.has(named) : groups.includes(named));
  return access.groups?.some(inGroup) === true || access.subjects?.includes(`${issuer}#${subject}`) === true;
}
