/** This gateway's part of App Home: what waits for a person, what became of theirs, and what admins look after. */
import type { Section } from '../../queue/asks.ts';
import { HOME, type HomePart } from '../../queue/home.ts';
import { counted } from '../amount.ts';
import type { History } from '../gate/history.ts';
import type { Holds, OpenHold } from '../holds/broker.ts';
import type { Decisions } from '../holds/decisions.ts';
import { accountsOf, type LinkedPerson, requesterSlack } from '../holds/linked.ts';
import type { People } from '../holds/people.ts';
import { isGroupName } from '../holds/quorum.ts';
import type { SessionRegistry } from '../listeners/listener.ts';
import type { Reviews } from '../state/reviews.ts';
import type { Answers, Asker } from './asks.ts';
import { peopleAmong, when, who } from './words.ts';

const WEEK_MS = 7 * 86_400_000;

export type HomeDeps = {
  readonly gateway: string;
  readonly version: string;
  readonly startedAt: number;
  readonly now: () => number;
  readonly holds: Pick<Holds, 'list'>;
  readonly registry: Pick<SessionRegistry, 'list'>;
  readonly history: Pick<History, 'of'>;
  readonly decisions: Pick<Decisions, 'of'>;
  readonly reviews: Pick<Reviews, 'list'>;
  readonly people: Pick<People, 'members' | 'oidcMembers'>;
  readonly linked: () => readonly LinkedPerson[];
  readonly troubles: () => Promise<Readonly<Record<string, string>>>;
  readonly redact: (text: string) => string;
};

type Item = Omit<Section, 'title'>;

export function homeAnswers(deps: HomeDeps): Pick<Answers, 'home'> {
  return {
    home: async (_command, asker) => {
      const open = deps.holds.list();
      const sections = [
        ...of(HOME.waits, await waiting(deps, open, asker)),
        ...of(HOME.agents, operations(deps, asker)),
        ...of(HOME.decisions, decided(deps, asker)),
      ];
      if (asker.admin) {
        const held = open.filter(({ operation }) => operation.protocol !== 'gate');
        const changes = open.filter(({ operation }) => operation.protocol === 'gate');
        sections.push(
          ...of(
            HOME.holds,
            held.map((hold) => shown(deps, hold)),
          ),
          ...of(
            HOME.changes,
            changes.map((hold) => shown(deps, hold)),
          ),
          ...of(HOME.reviews, await unsigned(deps, asker)),
          ...of(HOME.gateways, [await itself(deps, open)]),
        );
      }
      return { ok: true, text: '', sections };
    },
  };
}

/** What is left out by its number is so everywhere: the bot shows no more than these either. */
function of({ title, most, newestFirst }: HomePart, items: readonly Item[]): Section[] {
  const shownOf = items.slice(0, most).map((item) => ({ title, ...item }));
  if (items.length <= most) return shownOf;
  const which = newestFirst ? 'older' : 'younger';
  return [...shownOf, { title, lines: [`… and ${items.length - most} ${which} ones`] }];
}

function shown({ redact }: HomeDeps, { operation, shortId, openedAt, deadline, posted, unseen }: OpenHold): Item {
  const link = posted?.permalink;
  return {
    lines: [
      `${operation.environment.toUpperCase()} · ${operation.connection}: ${redact(operation.headline)}`,
      `${who(operation.principal)}, since ${when(openedAt)}, until ${when(deadline.at)}. Request ${shortId}.`,
      ...(unseen === undefined ? [] : [`Nobody sees its card: ${unseen}`]),
    ],
    ...peopleAmong(operation.principal.sponsor),
    ...(link === undefined ? {} : { link }),
    at: openedAt,
  };
}

/** Those in which a vote of theirs would still count, as far as is known without asking Slack again. */
async function waiting(deps: HomeDeps, open: readonly OpenHold[], asker: Asker): Promise<Item[]> {
  const unread = new Set<string>();
  const among = new Map<string, Promise<boolean>>();
  const isAmong = async (name: string): Promise<boolean> => {
    if (name.startsWith('oidc:'))
      return (await deps.people.oidcMembers(name.slice('oidc:'.length))).includes(asker.user);
    if (!isGroupName(name)) return name === asker.user;
    const members = deps.people.members(name);
    if (members === undefined) unread.add(name);
    return members?.includes(asker.user) === true;
  };
  const once = (name: string): Promise<boolean> => {
    const known = among.get(name) ?? isAmong(name);
    among.set(name, known);
    return known;
  };
  const items: Item[] = [];
  for (const hold of open) {
    if (hold.votes.has(asker.user) || isPartial(deps, hold, asker)) continue;
    const missing = hold.demands.filter(({ quorum }, at) => (hold.counted[at] ?? 0) < quorum);
    const asked = await Promise.all(missing.flatMap(({ approvers }) => approvers).map(once));
    if (asked.includes(true)) items.push(shown(deps, hold));
  }
  const note = `Who is in ${[...unread].join(', ')} could not be read from Slack: more may wait for you.`;
  return unread.size === 0 ? items : [...items, { lines: [note] }];
}

/** Their own request, or that of an agent they answer for: others decide. */
function isPartial({ linked }: HomeDeps, hold: OpenHold, { user }: Asker): boolean {
  const { sponsor } = hold.operation.principal;
  const sponsors = sponsor === undefined ? [] : accountsOf(linked(), sponsor);
  return [...sponsors, ...requesterSlack(linked(), hold)].includes(user);
}

function operations({ history, redact }: HomeDeps, { own }: Asker): Item[] {
  const all = history.of(own).sort((a, b) => b.deed.at - a.deed.at);
  return all.map(({ name, connection, deed }) => ({
    lines: [`${when(deed.at)} ${name} on ${connection}: ${redact(deed.headline)} (${deed.verdict})`],
    at: deed.at,
  }));
}

function decided({ decisions, startedAt, gateway, redact, now }: HomeDeps, { user }: Asker): Item[] {
  const items: Item[] = decisions.of(user).map(({ at, decision, headline, connection, shortId, state, link }) => ({
    lines: [`${when(at)} ${decision}: ${connection}: ${redact(headline)} (request ${shortId}, ${state})`],
    ...(link === undefined ? {} : { link }),
    at,
  }));
  // A restart forgets them, and nobody shall read an empty list as a quiet week.
  if (now() - startedAt >= WEEK_MS) return items;
  return [
    ...items,
    { lines: [`As gateway ${gateway} remembers it, since ${when(startedAt)}; the audit trail has all.`] },
  ];
}

async function unsigned({ reviews, redact, linked }: HomeDeps, { user }: Asker): Promise<Item[]> {
  const all = await reviews.list().catch(() => undefined);
  if (!all) return [{ lines: ['Redis does not say what waits for a review.'] }];
  return all.map(({ hold, shortId, headline, connection, environment, name, user: broke, reason, at }) => ({
    lines: [
      `${environment.toUpperCase()} · ${connection}: ${redact(headline)}`,
      `Request ${shortId}, released alone by ${name} at ${when(at)}: ${redact(reason)}`,
    ],
    ...(accountsOf(linked(), broke).includes(user)
      ? {}
      : {
          buttons: [{ label: 'Sign the review', line: `review ${hold}`, confirm: `You looked at what ${name} did.` }],
        }),
    at,
  }));
}

async function itself(deps: HomeDeps, open: readonly OpenHold[]): Promise<Item> {
  const { gateway, registry, version, startedAt } = deps;
  const troubles = Object.entries(await deps.troubles()).map(([part, why]) => `Not ready: ${part}: ${why}`);
  const said = `${counted(registry.list().length, 'session')}, ${counted(open.length, 'open hold')}, version ${version}`;
  return { lines: [`${troubles.length > 0 ? '🔴' : '🟢'} ${gateway}: ${said}`, ...troubles], at: startedAt };
}
