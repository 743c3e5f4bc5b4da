/** `/gate sessions` and `/gate kill`: who is connected to this gateway, and its end. */
import type { Section } from '../../queue/asks.ts';
import type { LiveSession, SessionRegistry } from '../listeners/listener.ts';
import { type Principal, principalKey } from '../operation.ts';
import type { Answers } from './asks.ts';
import { ago, argument, count, peopleAmong, who } from './words.ts';

const MOST_SHOWN = 25; // more than that nobody reads on a phone: a connection narrows it down
const MOST_NAMED = 10;

export type SessionsDeps = {
  readonly gateway: string;
  readonly registry: Pick<SessionRegistry, 'list'>;
  /** Names of the configured connections. */
  readonly connections: () => readonly string[];
  readonly redact: (text: string) => string;
  readonly now: () => number;
};

export function sessionsAnswers(deps: SessionsDeps): Pick<Answers, 'sessions' | 'kill'> {
  return {
    sessions: async ({ connection }, { admin, approver, own }) => {
      const known = deps.connections();
      if (connection !== undefined && !known.includes(connection)) {
        return { ok: false, text: `There is no connection ${connection} here. There are: ${known.join(', ')}.` };
      }
      const seen = deps.registry
        .list()
        .filter((session) => connection === undefined || session.connection === connection)
        .filter(({ principal }) => admin || approver || own(principalKey(principal), principal.sponsor))
        .sort((a, b) => a.startedAt - b.startedAt);
      const sections = seen.slice(0, MOST_SHOWN).map((session) => shown(session, deps, admin));
      if (seen.length > MOST_SHOWN) {
        const more = count(seen.length - MOST_SHOWN, 'more session');
        sections.push({ lines: [`… and ${more} on gateway ${deps.gateway}: name a connection to see fewer.`] });
      }
      const on = connection === undefined ? '' : ` to ${connection}`;
      const whose = admin || approver ? '' : ' of yours';
      return { ok: true, text: sections.length > 0 ? '' : `Nobody${whose} is connected${on}.`, sections };
    },

    kill: async ({ what }, { name }) => {
      const ended = deps.registry.list().filter(({ id, principal }) => id === what || isCalled(what, principal));
      for (const session of ended) session.end(`${name} ended this session from Slack`);
      if (ended.length === 0) {
        return { ok: false, text: `Nothing was ended: no session and no principal here is called ${what}.` };
      }
      const named = ended
        .slice(0, MOST_NAMED)
        .map(({ principal, connection, id }) => `${who(principal)} on ${connection}, session ${id}`);
      if (ended.length > MOST_NAMED) named.push(`… and ${ended.length - MOST_NAMED} more`);
      const people = peopleAmong(...ended.map(({ principal }) => principal.sponsor));
      const title = `${count(ended.length, 'session')} ended on gateway ${deps.gateway}`;
      return { ok: true, text: `${title}.`, sections: [{ title, lines: named, ...people }] };
    },
  };
}

/** By display name, by subject, or by `issuer#subject`. */
export const isCalled = (what: string, principal: Principal): boolean =>
  principal.name === what || principal.subject === what || principalKey(principal) === what;

function shown(session: LiveSession, { redact, now, gateway }: SessionsDeps, admin: boolean): Section {
  const { id, principal, connection, startedAt, lastOperationAt, lastHeadline } = session;
  const asked =
    lastHeadline === undefined
      ? 'Nothing asked for yet'
      : `Last: ${redact(lastHeadline)}, ${ago(lastOperationAt, now())}`;
  return {
    title: `${principal.name} on ${connection}`,
    lines: [who(principal), `Since ${ago(startedAt, now())}, gateway ${gateway}`, asked],
    ...peopleAmong(principal.sponsor),
    at: startedAt,
    ...(admin
      ? {
          buttons: [
            {
              label: 'Kill',
              line: `kill ${argument(id)}`,
              confirm: `Ends this session of ${principal.name} on ${connection} at once, with whatever it waits for.`,
              danger: true,
            },
          ],
        }
      : {}),
  };
}
