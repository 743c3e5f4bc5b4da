/** `/gate freeze` and `/gate unfreeze`: everything of something refused at once; lifted when a second admin agrees. */
import { GatewayError } from '../errors.ts';
import type { Freeze, Freezes } from '../state/freezes.ts';
import { frozenName, frozenSentence } from '../state/freezes.ts';
import type { Answers, Propose } from './asks.ts';
import { cut } from './bounded.ts';
import { argument } from './words.ts';

const MOST_WHY = 300; // as kept, and as told to whoever is refused

export type FreezeDeps = {
  readonly freezes: Pick<Freezes, 'add' | 'lift' | 'list' | 'look'>;
  readonly propose: Propose;
  /** Names of the configured connections. */
  readonly connections: () => readonly string[];
  /** Is anybody called so: by name, by subject or by `issuer#subject`? */
  readonly isKnown: (principal: string) => Promise<boolean>;
  /** Tell the approvers' channel. */
  readonly announce: (id: string, text: string, offer: { label: string; line: string; confirm: string }) => void;
  readonly redact: (text: string) => string;
  readonly now: () => number;
};

export function freezeAnswers(deps: FreezeDeps): Pick<Answers, 'freeze' | 'unfreeze'> {
  const { freezes, propose, announce, now } = deps;
  return {
    freeze: async ({ what, why }, asker) => {
      const of = await meant(deps, what);
      // What stands for a secret may be longer than it: no freeze fails for that.
      const said = why === undefined ? {} : { why: cut(deps.redact(why), MOST_WHY) };
      const freeze: Freeze = { ...of, by: asker.user, byName: asker.name, at: now(), ...said };
      await freezes.add(freeze);
      const offer = {
        label: 'Ask to lift it',
        line: `unfreeze ${argument(typed(of))}`,
        confirm: cut(`Asks a second admin to let ${frozenName(of)} pass again.`, 280),
      };
      announce(`frozen-${asker.ask}`, `Frozen: ${frozenSentence(freeze)}. Nothing of it passes any gateway.`, offer);
      return {
        ok: true,
        text: `Frozen: ${frozenName(of)}. Whatever is asked is refused from now on, on every gateway, but for ROLLBACK; sessions stay, and what waited for approval is withdrawn.`,
        sections: [{ lines: [], buttons: [offer] }],
      };
    },

    unfreeze: async ({ what }, asker) => {
      await freezes.look();
      const freeze = frozenAs(freezes.list(), what);
      if (!freeze) return notFrozen(freezes.list(), what);
      const shortId = await propose({
        asker,
        headline: `Let ${frozenName(freeze)} pass again`,
        text: `Lift the freeze of ${frozenSentence(freeze)}`,
        asIs: true, // its reason is past the detectors since it was frozen
        risks: ['lifts a freeze'],
        why: 'What one admin froze, two lift',
        moot: () => (freezes.list().some((one) => sameAs(one, freeze)) ? undefined : 'the freeze is lifted already'),
        apply: async () => {
          await freezes.lift(freeze, asker.user);
          return `Lifted: ${frozenName(freeze)} passes again`;
        },
        offers: [
          {
            label: 'Freeze it again',
            line: `freeze ${argument(typed(freeze))}`,
            confirm: `Refuses everything of ${frozenName(freeze)} at once.`,
          },
        ],
      });
      return {
        ok: true,
        text: `Asked: request ${shortId}. ${upper(frozenName(freeze))} stays frozen until a second admin approves.`,
      };
    },
  };
}

/** What a word stands for. @throws GatewayError CONFIG, which says what it could have been */
async function meant(deps: FreezeDeps, what: string): Promise<Pick<Freeze, 'of' | 'name'>> {
  if (what === 'all') return { of: 'all', name: '' };
  const { as, name } = prefixed(what);
  const connection = as !== 'agent' && deps.connections().includes(name);
  const agent = as !== 'connection' && (await deps.isKnown(name));
  if (connection && agent) {
    throw new GatewayError(
      'CONFIG',
      `${name} is a connection and a principal: say connection:${name} or agent:${name}`,
    );
  }
  if (connection) return { of: 'connection', name };
  if (agent) return { of: 'agent', name };
  throw new GatewayError(
    'CONFIG',
    `nothing was frozen: ${name} is no connection (${deps.connections().join(', ')}), and no agent or person of that name, subject or issuer#subject has been seen`,
  );
}

/** `connection:orders` and `agent:report-bot` say which is meant. */
function prefixed(what: string): { as: 'connection' | 'agent' | undefined; name: string } {
  const match = /^(connection|agent):(.+)$/.exec(what);
  return match ? { as: match[1] as 'connection' | 'agent', name: match[2] ?? '' } : { as: undefined, name: what };
}

const typed = ({ of, name }: Pick<Freeze, 'of' | 'name'>): string => (of === 'all' ? 'all' : `${of}:${name}`);

function frozenAs(frozen: readonly Freeze[], what: string): Freeze | undefined {
  const { as, name } = prefixed(what);
  return frozen.find((one) => (what === 'all' ? one.of === 'all' : one.name === name && (as ?? one.of) === one.of));
}

function notFrozen(frozen: readonly Freeze[], what: string) {
  if (frozen.length === 0) return { ok: false, text: `${what} is not frozen; nothing is.` };
  const sections = frozen.slice(0, 50).map((freeze) => ({ lines: [`🧊 ${frozenSentence(freeze)}`] }));
  return { ok: true, text: `${what} is not frozen by that name. Frozen are:`, sections };
}

const sameAs = (one: Freeze, other: Freeze): boolean =>
  one.of === other.of && one.name === other.name && one.at === other.at;

const upper = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
