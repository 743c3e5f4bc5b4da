/** What a signed-in terminal can see and decide: the holds of every gateway, found in their indices. */
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { MAX_JTI } from '../../queue/asks.ts';
import type { Card } from '../../queue/cards.ts';
import { askPublisher } from '../../queue/carry.ts';
import type { OnTrouble } from '../../queue/connection.ts';
import { LeaseWatch, openHolds } from '../../queue/leases.ts';
import type { SigningKey, VerifyingKey } from '../../queue/sign.ts';
import { GatewayError } from '../errors.ts';
import type { Holds } from '../holds/broker.ts';
import type { LinkedPerson } from '../holds/linked.ts';
import type { GatewayAuthenticator } from '../identity/authenticator.ts';
import type { AgentRegister } from '../state/agents.ts';
import type { Decided, Decision, TerminalDoor, Voter, Waiting } from '../web/votes.ts';

const ANSWER_MS = 15_000; // as long as anybody waits at a terminal without thinking it is stuck
const MOST_LISTED = 200;

export type TerminalDeps = {
  readonly gateway: string;
  readonly holds: Pick<Holds, 'receiveTerminal' | 'mayRead'>;
  readonly shared: { readonly redis: Redis; readonly url: string; readonly onTrouble: OnTrouble };
  readonly keys: { readonly own: SigningKey; readonly gateways: () => readonly VerifyingKey[] };
  readonly identity: {
    readonly authenticator: Pick<GatewayAuthenticator, 'authenticate'>;
    readonly register: Pick<AgentRegister, 'seen' | 'namesOf'>;
  };
  /** Whose Slack account is whose, as configured. */
  readonly people: () => readonly LinkedPerson[];
};

export type Terminal = {
  readonly door: TerminalDoor;
  /** @throws GatewayError AUTH | UNAVAILABLE */
  readonly whoIs: (token: string) => Promise<Voter>;
  close(): Promise<void>;
};

export function createTerminal({ gateway, holds, shared, keys, identity, people }: TerminalDeps): Terminal {
  const { redis } = shared;
  const asks = askPublisher({ ...shared, key: keys.own, gatewayKeys: keys.gateways });
  const leases = new LeaseWatch(redis, keys.gateways);
  const open = async (): Promise<Card[]> => {
    const gateways = await leases.live();
    const cards = await Promise.all(gateways.map((id) => openHolds(redis, id, keys.gateways())));
    return cards.flat().filter(({ state }) => state === 'open' || state === 'approved');
  };
  const reachable = async (): Promise<Card[]> => {
    try {
      return await open();
    } catch (cause) {
      throw new GatewayError('UNAVAILABLE', 'Redis is not reachable, so nothing can be approved now', { cause });
    }
  };
  const readable = async (voter: Voter): Promise<Card[]> => {
    const mine: Card[] = [];
    for (const card of (await reachable()).sort((a, b) => a.openedAt - b.openedAt)) {
      if (mine.length < MOST_LISTED && (await holds.mayRead(card, voter))) mine.push(card);
    }
    return mine;
  };
  const list = async (voter: Voter): Promise<Waiting> => {
    const mine = await readable(voter);
    const asked = new Set(mine.flatMap(({ demands }) => demands.flatMap(({ approvers }) => approvers)));
    const linked = people().filter(({ slack }) => asked.has(slack));
    const names = await identity.register.namesOf(linked).catch(() => new Map<string, string>());
    return { holds: mine, people: Object.fromEntries(names) };
  };
  const decide = async (voter: Voter, decision: Decision): Promise<Decided> => {
    const card = (await readable(voter)).find(({ hold }) => hold === decision.hold);
    if (!card) return { counted: false, text: 'Not counted: nothing of that id waits for you.' };
    const vote = {
      kind: 'terminal',
      v: 1,
      id: `terminal-${randomUUID()}`,
      ...decision,
      issuer: voter.issuer,
      subject: voter.subject,
      name: voter.name,
      ...(voter.email === undefined ? {} : { email: voter.email }),
      endsAt: voter.endsAt,
      ...(voter.jti === undefined || voter.jti.length > MAX_JTI ? {} : { jti: voter.jti }),
      ...(voter.hash === undefined ? {} : { hash: voter.hash }),
      at: Date.now(),
    } as const;
    if (card.gateway === gateway) return holds.receiveTerminal(vote);
    const answer = await asks.ask(card.gateway, vote, ANSWER_MS);
    if (answer) return { counted: answer.ok, text: answer.text };
    return {
      counted: false,
      text: 'Not counted, as far as is known: the gateway that holds it did not answer. Look whether it still waits.',
    };
  };
  const whoIs = async (token: string): Promise<Voter> => {
    const live = await identity.authenticator.authenticate(token);
    try {
      const { principal } = live;
      if (principal.kind !== 'human')
        throw new GatewayError('ACCESS', 'only people decide, and this token is an agent’s');
      await identity.register.seen(principal); // the groups of now, for rules that name `oidc:` approvers
      const { issuer, subject, name, email, emailVerified } = principal;
      const { jti, hash } = live.revocables[0] ?? {};
      return {
        issuer,
        subject,
        name,
        ...(email && emailVerified ? { email } : {}),
        endsAt: live.expiresAt(),
        jti,
        hash,
      };
    } finally {
      live.release();
    }
  };
  return { door: { list, decide }, whoIs, close: () => asks.close() };
}
