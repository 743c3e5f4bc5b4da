/** `/gate sessions` and `/gate kill`: who is connected to this gateway, and its end. */
import type { Section } from '../../queue/asks.ts';
import { counted } from '../amount.ts';
import type { LiveSession, SessionRegistry } from '../listeners/listener.ts';
import { type Principal, principalKey } from '../operation.ts';
import type { Answers } from './asks.ts';
import { ago, argument, peopleAmong, who } from './words.ts';

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

export function sessionsAnswers(deps: SessionsDeps): Pick<Answers, 'sessions' | 'kill' | 'kill-check'> {
  return {
    sessions: async ({ connection }, { admin, approver, own }) => {
      const all = admin || approver;
      const known = deps.connections();
      if (all && connection !== undefined && !known.includes(connection)) {
        return { ok: false, text: `There is no connection ${connection} here. There are: ${known.join(', ')}.` };
      }
      const shownTo = deps.registry
        .list()
        .filter(({ principal }) => all || own(principalKey(principal), principal.sponsor));
      const seen = shownTo
        .filter((session) => connection === undefined || session.connection === connection)
        .sort((a, b) => a.startedAt - b.startedAt);
      const sections = seen.slice(0, MOST_SHOWN).map((session) => shown(session, deps, admin));
      if (seen.length > MOST_SHOWN) {
        const more = counted(seen.length - MOST_SHOWN, 'more session');
        sections.push({ lines: [`… and ${more} on gateway ${deps.gateway}: name a connection to see fewer.`] });
      }
      const on = connection === undefined ? '' : ` to ${connection}`;
      // Others hear of no connection that is not theirs: one that is there and one that is not sound alike.
      const theirs = all ? [] : [...new Set(shownTo.map((session) => session.connection))].sort();
      const elsewhere = theirs.length > 0 ? `; yours are connected to ${theirs.join(', ')}` : '';
      const text = `Nobody${all ? '' : ' of yours'} is connected${on}${elsewhere}.`;
      return { ok: true, text: sections.length > 0 ? '' : text, sections };
    },

    'kill-check': async ({ what }) => {
      const meant = meantBy(deps, what);
      if (meant.length === 0) return { ok: true, text: '' };
      const title = `${counted(meant.length, 'session')} on gateway ${deps.gateway}`;
      return { ok: true, text: '', sections: [{ title, ...named(meant) }] };
    },

    kill: async ({ what }, { name }) => {
      const ended = meantBy(deps, what);
      for (const session of ended) session.end(`${name} ended this session from Slack`);
      if (ended.length === 0) {
        return { ok: false, text: `Nothing was ended: no session and no principal here is called ${what}.` };
      }
      const title = `${counted(ended.length, 'session')} ended on gateway ${deps.gateway}`;
      return { ok: true, text: `${title}.`, sections: [{ title, ...named(ended) }] };
    },
  };
}

/** The session of that id, and everybody's who is called so. */
const meantBy = ({ registry }: Pick<SessionsDeps, 'registry'>, what: string): readonly LiveSession[] =>
  registry.list().filter(({ id, principal }) => id === what || isCalled(what, principal));

function named(sessions: readonly LiveSession[]): Pick<Section, 'lines' | 'people'> {
  const few = sessions.slice(0, MOST_NAMED);
  const lines = few.map(({ principal, connection, id }) => `${who(principal)} on ${connection}, session ${id}`);
  if (sessions.length > few.length) lines.push(`… and ${sessions.length - few.length} more`);
  return { lines, ...peopleAmong(...few.map(({ principal }) => principal.sponsor)) };
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
