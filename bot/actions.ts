/** Clicks and submissions: read what was clicked, carry the vote, acknowledge in time, tell the clicker. Decides nothing. */
import { createHash } from 'node:crypto';
import type { App, types } from '@slack/bolt';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { Card } from '../queue/cards.ts';
import { reviewOf } from '../queue/review.ts';
import type { Answer, Ballot, Cast, Click } from './ballot.ts';
import { inList, listModal } from './collecting.ts';
import { asShown, type Entry, isShownAt, wasPlaced } from './entry.ts';
import type { MessageIndex } from './index.ts';
import { choiceOf } from './menu.ts';
import {
  detailsModal,
  type Memory,
  noteModal,
  parseMemory,
  type Reasoned,
  reasonIn,
  reasonModal,
  remember,
} from './modals.ts';
import { type Pressed, parseActionsBlockId, parseButtonValue } from './pressed.ts';
import type { Slack } from './slack.ts';
import { cut } from './text.ts';
import { within } from './wait.ts';
import { because, clock, isOpen, ran, status } from './words.ts';

/** Slack shows an error after 3 s without an acknowledgement. */
const ACK_MS = 2_500;
const SUBMIT_MS = 2_200; // a submission's answer has to be in its acknowledgement
const SAID_MS = 600_000;
const UNREACHABLE = 'Not counted: the bot cannot reach its queue. Click again in a moment.';
const NOT_SENT =
  'Not counted yet: the bot cannot reach its queue and goes on trying for a minute. Click again should the card not change.';

const id = z.string().min(1).max(64);
const common = {
  trigger_id: z.string().min(1).max(300),
  user: z.object({ id, team_id: id.optional() }),
  team: z.object({ id }).nullish(),
};
const viewSchema = z.object({
  id: z.string().max(64),
  hash: z.string().max(200).optional(),
  callback_id: z.string().max(255),
  private_metadata: z.string().max(3000).optional(),
  state: z.object({ values: z.unknown() }).optional(),
});
const clickSchema = z.object({
  ...common,
  channel: z.object({ id }).optional(),
  message: z.object({ ts: z.string().max(40), bot_id: z.string().max(64).optional() }).optional(),
  view: viewSchema.optional(),
  actions: z
    .array(
      z.object({
        action_id: z.string().max(255),
        block_id: z.string().max(255).optional(),
        value: z.string().max(2000).optional(),
        selected_option: z.object({ value: z.string().max(150) }).optional(),
      }),
    )
    .min(1),
});
const submissionSchema = z.object({ ...common, view: viewSchema });
type Clicked = z.infer<typeof clickSchema>;

export type ActionOptions = {
  readonly index: MessageIndex;
  readonly slack: Slack;
  /** This installation: what comes from another workspace, or from another app's look-alike, is none of ours. */
  readonly self: { readonly team: string; readonly bot: string };
  readonly ballot: Ballot;
  /** Tell one person something in a channel; may throw. */
  readonly whisper: (channel: string, user: string, text: string) => Promise<void>;
  readonly log: Logger;
  readonly now?: () => number;
};

/** What the submission of each reason modal decides. */
const DECISIONS: Readonly<Record<string, Reasoned>> = { deny: 'deny', confirm: 'approve', break: 'break' };

type Ack = (response?: Record<string, unknown>) => Promise<void>;
/** Where a decision is made: on the card, or in a modal that belongs to it. */
type Place = {
  readonly pressed: Pressed;
  readonly channel: string;
  readonly ts?: string;
  readonly view?: z.infer<typeof viewSchema>;
};

export class Actions {
  readonly #it: ActionOptions;
  readonly #now: () => number;

  constructor(options: ActionOptions) {
    this.#it = options;
    this.#now = options.now ?? Date.now;
  }

  register(app: App): void {
    for (const name of ['approve', 'deny', 'details', 'more', 'next', 'prev', 'glass', 'list', 'deny-all']) {
      app.action(name, async ({ ack, body }) => this.clicked(name, body, (response) => (ack as Ack)(response)));
    }
    for (const name of ['deny', 'confirm', 'break']) {
      app.view(name, async ({ ack, body }) => this.submitted(name, body, (response) => (ack as Ack)(response)));
    }
  }

  /** One `block_actions` payload. */
  async clicked(name: string, body: unknown, ack: Ack): Promise<void> {
    const parsed = clickSchema.safeParse(body);
    const place = parsed.success && this.#isOurs(parsed.data) ? placeOf(parsed.data) : undefined;
    if (!parsed.success || !place) {
      this.#it.log.warn({ action: name }, 'a click that is none of ours');
      return ack();
    }
    const it = parsed.data;
    const found = await this.#card(place);
    if (typeof found === 'string') {
      // Slack itself marks a click that nobody acknowledged: what the queue never saw must not look taken.
      if (found !== UNREACHABLE) await ack();
      return name === 'details' || place.view ? this.#note(it, place, found) : this.#say(it, place, found);
    }
    const closed = ['details', 'next', 'prev', 'list'].includes(name) ? undefined : closedTo(found, place.pressed);
    if (closed) {
      await ack();
      return place.view ? this.#note(it, place, closed) : this.#say(it, place, closed);
    }
    switch (name) {
      case 'details':
        return this.#inTime(ack, this.#open(it, place, detailsModal(found, 1, place.channel)));
      case 'next':
      case 'prev':
        return this.#inTime(ack, this.#turn(it, place, found, name === 'next' ? 1 : -1));
      case 'more':
        return this.#chosen(it, place, found, ack);
      case 'deny':
        return this.#inTime(ack, this.#open(it, place, reasonModal(found, 'deny', memoryOf(place))));
      case 'list':
        return this.#inTime(ack, this.#list(it, place, found));
      case 'deny-all':
        return this.#carried(it, place, ack, this.#it.ballot.denyAll(found, this.#click(it, place)));
      case 'glass':
        return this.#inTime(ack, this.#open(it, place, reasonModal(found, 'break', memoryOf(place))));
      case 'approve':
        return this.#approve(it, place, found, ack);
      default:
        return ack();
    }
  }

  /** From the menu beside the buttons. */
  async #chosen(it: Clicked, place: Place, card: Card, ack: Ack): Promise<void> {
    const choice = choiceOf(it.actions[0]?.selected_option?.value);
    const click = this.#click(it, place);
    switch (choice?.kind) {
      case undefined:
        return ack();
      case 'kill':
        return this.#carried(it, place, ack, this.#it.ballot.kill(card, click));
      case 'undo': {
        const undo = { decision: 'undo', revision: place.pressed.revision, from: 'card' } as const;
        return this.#carried(it, place, ack, this.#it.ballot.vote(card, undo, click));
      }
      case 'glass':
        return this.#inTime(ack, this.#open(it, place, reasonModal(card, 'break', memoryOf(place))));
      case 'grant':
        return this.#approve(it, place, card, ack, choice.minutes);
    }
  }

  async #approve(it: Clicked, place: Place, card: Card, ack: Ack, grantMinutes?: number): Promise<void> {
    const from = place.view ? 'details' : 'card';
    if (from === 'card' && reviewOf(card).needed) {
      await ack();
      return this.#say(
        it,
        place,
        'Not counted: this text is long or hides something. Open Details, read to the last page and approve there.',
      );
    }
    if (card.demands.some((demand) => demand.requireReason)) {
      const memory = { ...memoryOf(place), ...(grantMinutes === undefined ? {} : { grant: grantMinutes }) };
      return this.#inTime(ack, this.#open(it, place, reasonModal(card, 'approve', memory)));
    }
    const choice = { decision: 'approve', revision: place.pressed.revision, grantMinutes, from } as const;
    return this.#carried(it, place, ack, this.#it.ballot.vote(card, choice, this.#click(it, place)));
  }

  /** One `view_submission`: a decision with its reason. */
  async submitted(name: string, body: unknown, ack: Ack): Promise<void> {
    const parsed = submissionSchema.safeParse(body);
    const memory = parsed.success ? parseMemory(parsed.data.view.private_metadata) : undefined;
    if (!parsed.success || !memory || !this.#isOurs(parsed.data)) {
      this.#it.log.warn({ view: name }, 'a submission that is none of ours');
      return ack();
    }
    const it = parsed.data;
    const reason = reasonIn(it.view.state?.values);
    if (name !== 'deny' && !reason) return ack(errors('A reason is required: pick one, or type it.'));
    const place: Place = { pressed: memory, channel: memory.channel, view: it.view };
    const found = await this.#card(place);
    const no = typeof found === 'string' ? found : closedTo(found, memory);
    if (typeof found === 'string' || no) return ack(errors(no ?? ''));
    const from = memory.from ?? 'card';
    const decision = DECISIONS[name] ?? 'deny';
    if (decision !== 'deny' && from === 'card' && reviewOf(found).needed) {
      return ack(errors('This text is long or hides something: approve it on the last page of Details.'));
    }
    const cast = this.#it.ballot.vote(
      found,
      { decision, revision: memory.revision, reason, grantMinutes: memory.grant, from },
      this.#click(it, place),
    );
    const quick = await within(SUBMIT_MS, cast.answer);
    const lost = quick === undefined && !(await within(0, cast.sent));
    const problem = lost ? NOT_SENT : quick?.counted === false ? quick.text : undefined;
    await ack(problem === undefined ? { response_action: 'clear' } : errors(problem));
    const answer = await cast.answer;
    await this.#say(it, place, answer.text);
  }

  /** A person of another workspace may click (Slack Connect): the attestation says so, and the gateway tells them why not. */
  #isOurs(it: { team?: Clicked['team']; message?: Clicked['message'] }): boolean {
    const { team, bot } = this.#it.self;
    return (it.team?.id ?? team) === team && (it.message?.bot_id ?? bot) === bot;
  }

  /** The card that was clicked, when there is still something to decide or to show; else a sentence why not. */
  async #card(place: Place): Promise<Card | string> {
    let entry: Entry | undefined;
    try {
      entry = await this.#it.index.read(place.pressed.hold);
    } catch (error) {
      this.#it.log.warn({ error: String(error) }, 'the message index does not answer');
      return UNREACHABLE;
    }
    if (!entry) return 'This request is over and no longer known here.';
    const card = asShown(entry);
    if (place.ts !== undefined && wasPlaced(entry) && !isShownAt(entry, { channel: place.channel, ts: place.ts })) {
      return 'This is an old copy of the card. Use the newer one.';
    }
    return card;
  }

  async #carried(it: Clicked, place: Place, ack: Ack, cast: Cast): Promise<void> {
    if (await within(ACK_MS, cast.sent)) await ack();
    else await this.#whisper(place, it.user.id, NOT_SENT); // and no acknowledgement: Slack shows that it failed
    const answer: Answer = await cast.answer;
    await (place.view ? this.#note(it, place, answer.text) : undefined);
    await this.#say(it, place, answer.text);
  }

  /** Acknowledge when the work is done, or when it is high time. */
  async #inTime(ack: Ack, work: Promise<void>): Promise<void> {
    await within(ACK_MS, work);
    await ack();
    await work;
  }

  async #open(it: Clicked, place: Place, view: types.ModalView): Promise<void> {
    const method = place.view ? 'views.push' : 'views.open';
    try {
      await this.#it.slack.call(method, { trigger_id: it.trigger_id, view });
    } catch (error) {
      this.#it.log.warn({ hold: place.pressed.hold, error: String(error) }, 'a window did not open');
      await this.#say(it, place, 'Slack did not open the window. Click again.');
    }
  }

  /** The requests that a collecting card stands for, each as its own card says. */
  async #list(it: Clicked, place: Place, card: Card): Promise<void> {
    const entries = card.collects ? inList(card.collects) : [];
    const listed = await Promise.all(
      entries.map(async (entry) => {
        const known = await this.#it.index.read(entry.hold).catch(() => undefined);
        return { entry, card: known && asShown(known) };
      }),
    );
    const memory = remember({ ...place.pressed, channel: place.channel, list: true });
    await this.#open(it, place, listModal(card, listed, memory));
  }

  async #turn(it: Clicked, place: Place, card: Card, by: number): Promise<void> {
    const at = parseMemory(place.view?.private_metadata)?.page ?? 1;
    const changed = card.revision !== place.pressed.revision || !card.digest.startsWith(place.pressed.digest);
    const view = changed
      ? detailsModal(card, 1, place.channel, 'The request changed since you opened it. Read it again from here.')
      : detailsModal(card, at + by, place.channel);
    await this.#update(it, place, view);
  }

  async #update(it: Clicked, place: Place, view: types.ModalView): Promise<void> {
    if (!place.view) return this.#open(it, place, view);
    const { id: view_id, hash } = place.view;
    try {
      await this.#it.slack.call('views.update', { view_id, ...(hash ? { hash } : {}), view });
    } catch (error) {
      this.#it.log.warn({ hold: place.pressed.hold, error: String(error) }, 'a window did not change');
    }
  }

  #note(it: Clicked, place: Place, text: string): Promise<void> {
    return this.#update(it, place, noteModal('Countersign', text));
  }

  /** Once a click, however often Slack delivers it and to how many bots. */
  async #say(it: { trigger_id: string; user: { id: string } }, place: Place, text: string): Promise<void> {
    // Without Redis nobody knows whether it was said: rather twice than never.
    const first = await this.#it.index.once(`said-${clickId(it)}`, SAID_MS).catch(() => true);
    if (first) await this.#whisper(place, it.user.id, text);
  }

  async #whisper(place: Place, user: string, text: string): Promise<void> {
    try {
      await this.#it.whisper(place.channel, user, text);
    } catch (error) {
      this.#it.log.warn({ hold: place.pressed.hold, error: String(error) }, 'the clicker was not told');
    }
  }

  #click(it: { trigger_id: string; user: Clicked['user']; team?: Clicked['team'] }, place: Place): Click {
    return {
      id: clickId(it),
      user: it.user.id,
      team: it.user.team_id ?? it.team?.id,
      channel: place.channel,
      at: this.#now(),
    };
  }
}

/** A redelivered click has the same trigger, and two clicks never have. */
const clickId = (it: { trigger_id: string; user: { id: string } }): string =>
  `click-${createHash('sha256').update(`${it.user.id} ${it.trigger_id}`).digest('hex').slice(0, 40)}`;

function placeOf(it: Clicked): Place | undefined {
  const action = it.actions[0];
  // An overflow has no value of its own; a button's value that is not one of ours is not made good by its block.
  const pressed = action?.value === undefined ? parseActionsBlockId(action?.block_id) : parseButtonValue(action.value);
  if (!pressed) return undefined;
  if (it.view) {
    const memory = parseMemory(it.view.private_metadata);
    return memory && (memory.list || memory.hold === pressed.hold)
      ? { pressed, channel: memory.channel, view: it.view }
      : undefined;
  }
  if (!it.channel || !it.message) return undefined;
  return { pressed, channel: it.channel.id, ts: it.message.ts };
}

/** Why nothing can be decided on this card any more, or undefined. */
function closedTo(card: Card, pressed: Pressed): string | undefined {
  if (!isOpen(card)) {
    const when = card.settled ? ` at ${clock(card.settled.at)}` : '';
    return ['Not counted, this is over', `${status(card).word}${when}`, because(card), ran(card)]
      .filter(Boolean)
      .join('. ');
  }
  // The full digest goes into the vote: it must be the one that was on the screen.
  if (card.digest.startsWith(pressed.digest)) return undefined;
  return 'Not counted: the request changed since you read it. Look at the card again.';
}

const memoryOf = (place: Place): Memory => ({
  ...place.pressed,
  channel: place.channel,
  from: place.view ? 'details' : 'card',
});

const errors = (text: string) => ({ response_action: 'errors', errors: { reason: cut(text, 500) } });
