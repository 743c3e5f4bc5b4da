/** Takes what people ask with `/gate`: who asks, may they, once, on record; answered by the rooms it concerns. */
import { type Answer, type Ask, EVERY_GATEWAY, type GateCommand, type Section } from '../../queue/asks.ts';
import type { Audit, AuditEntry } from '../audit/entry.ts';
import { asGatewayError, GatewayError } from '../errors.ts';
import type { Answers, Asker, Said } from './asks.ts';
import { type AuthorityDeps, type Judged, judged, mayChange } from './authority.ts';
import { bounded } from './bounded.ts';
import type { Once } from './once.ts';

/** What admins alone may do; what it did is on record before it is done. */
const CHANGES: ReadonlySet<GateCommand['do']> = new Set([
  'kill',
  'revoke',
  'rule-add',
  'rule-remove',
  'rule-revert',
  'freeze',
  'unfreeze',
  'review',
]);

/** Changes nothing, and yet is for those alone who may do what it asks about. */
const BEFORE_CHANGES: ReadonlySet<GateCommand['do']> = new Set(['kill-check']);

/** Whoever granted something may take it back, admin or not: the room that answers it says who that is. */
const OWN_RULE: ReadonlySet<GateCommand['do']> = new Set(['revoke']);

/** App Home asks by itself, whenever something changes: nobody waits for it, and nothing is refused them by it. */
const ASKED_BY_ITSELF: ReadonlySet<GateCommand['do']> = new Set(['home']);

const MOST_REMEMBERED = 300; // an answer may be as large as 200 KB, and what is repeated comes soon

type AskOf = Extract<Ask, { kind: 'ask' }>;
type TerminalOf = Extract<Ask, { kind: 'terminal' }>;

export type RoomDeps = {
  readonly gateway: string;
  readonly authority: AuthorityDeps;
  /** What each room answers; what is missing is answered with a sentence that says so. */
  readonly answers: Partial<Answers>;
  /** For what any gateway may take: never done twice, whichever took it first. */
  readonly once: Once;
  readonly audit: Pick<Audit, 'append' | 'commit'>;
  /** A vote from a terminal that another gateway verified. */
  readonly terminal: (vote: TerminalOf) => Promise<{ readonly counted: boolean; readonly text: string }>;
  /** Was this sealed by a bot, or by a gateway? */
  readonly sealedBy: (key: string) => 'bot' | 'gateway' | undefined;
  readonly redact: (text: string) => string;
  readonly log: (message: string, details?: Record<string, unknown>) => void;
  readonly onAsk?: (about: { readonly command: string; readonly result: 'answered' | 'refused' }) => void;
};

export class Room {
  readonly #deps: RoomDeps;
  readonly #known = new Map<string, Promise<Answer>>();

  constructor(deps: RoomDeps) {
    this.#deps = deps;
  }

  /** The same ask again gets the same answer, and nothing is done twice. Rejects never. */
  answer(ask: Ask, by: string): Promise<Answer> {
    const known = this.#known.get(ask.id);
    if (known) return known;
    const answered = this.#answer(ask, by).catch((thrown) => {
      this.#deps.log('an ask failed', { ask: ask.id, error: String(thrown) });
      return this.#say(ask.id, { ok: false, text: 'That failed, and the gateway’s log says why.' });
    });
    this.#known.set(ask.id, answered);
    const oldest = this.#known.keys().next().value;
    if (this.#known.size > MOST_REMEMBERED && oldest !== undefined) this.#known.delete(oldest);
    return answered;
  }

  async #answer(ask: Ask, by: string): Promise<Answer> {
    const sealedBy = this.#deps.sealedBy(by);
    if (ask.kind === 'terminal') {
      if (sealedBy !== 'gateway') throw new Error('only gateways carry votes from terminals');
      const { counted, text } = await this.#deps.terminal(ask);
      return this.#say(ask.id, { ok: counted, text });
    }
    if (sealedBy !== 'bot') throw new Error('only bots carry what people ask in Slack');
    // What every gateway does its own part of came to this one alone: its own memory is enough.
    return CHANGES.has(ask.command.do) && !EVERY_GATEWAY.has(ask.command.do)
      ? this.#deps.once(
          ask.id,
          () => this.#heard(ask),
          (said) => this.#say(ask.id, said),
        )
      : this.#heard(ask);
  }

  async #heard(ask: AskOf): Promise<Answer> {
    const { authority, answers, onAsk } = this.#deps;
    const { command } = ask;
    const changes = CHANGES.has(command.do);
    const result = (ok: boolean) => onAsk?.({ command: command.do, result: ok ? 'answered' : 'refused' });
    try {
      const who = await judged(authority, ask, { afresh: changes });
      if (BEFORE_CHANGES.has(command.do)) mayChange(who, authority.admins());
      if (changes) {
        if (!OWN_RULE.has(command.do)) mayChange(who, authority.admins());
        await this.#deps.audit.commit(this.#entry(ask, { accepted: true }));
      }
      const answer = answers[command.do] as ((command: GateCommand, asker: Asker) => Promise<Said>) | undefined;
      const said = answer
        ? await answer(command, who.asker)
        : { ok: false, text: `/gate ${command.do} is not here yet.` };
      if (changes && !said.ok) this.#record(ask, { accepted: true, done: false, why: said.text });
      result(said.ok);
      return this.#say(ask.id, changes ? said : this.#narrowed(said, who));
    } catch (thrown) {
      const { code, message, hint } = asGatewayError(thrown);
      if (!(thrown instanceof GatewayError)) this.#deps.log('an ask failed', { ask: ask.id, error: String(thrown) });
      if (!ASKED_BY_ITSELF.has(command.do)) this.#record(ask, { accepted: false, code, why: message });
      result(false);
      return this.#say(ask.id, { ok: false, text: `${upper(message)}.${hint === undefined ? '' : ` ${hint}`}` });
    }
  }

  /** Of somebody about whom Slack did not say everything, less is shown: and they are told so. */
  #narrowed(said: Said, { asker, unread }: Judged): Said {
    if (asker.admin || asker.approver || unread.length === 0) return said;
    const text = `Who is in ${unread.join(', ')} could not be read from Slack now: what is not yours is left out.`;
    const note: Section = { lines: [text] };
    return { ...said, text: `${said.text} ${text}`.trim(), sections: [...(said.sections ?? []), note] };
  }

  #entry({ id, command, asker, channel }: AskOf, fields: Record<string, unknown>): AuditEntry {
    const { user, team } = asker;
    const asked = JSON.parse(this.#deps.redact(JSON.stringify(command))) as unknown;
    return { kind: 'ask', ask: id, command: asked, user, team, channel, ...fields };
  }

  /** Where a failure changes nothing any more. */
  #record(ask: AskOf, fields: Record<string, unknown>): void {
    try {
      this.#deps.audit.append(this.#entry(ask, { ...fields, why: this.#deps.redact(String(fields.why)) }));
    } catch (error) {
      this.#deps.log('an ask could not be recorded', { ask: ask.id, error: String(error) });
    }
  }

  #say(id: string, said: Said): Answer {
    const { sections = [], ...rest } = said;
    return bounded({ v: 1, id, gateway: this.#deps.gateway, sections: [...sections], ...rest });
  }
}

const upper = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1).replace(/\.$/, '');
