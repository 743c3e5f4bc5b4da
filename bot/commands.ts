/** `/gate` and the buttons that say its lines: read, acknowledged, carried, answered where only the asker sees it. */
import { createHash } from 'node:crypto';
import type { App } from '@slack/bolt';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { View } from './cards.ts';
import { answerViews, helpAnswer, wrongAnswer } from './gate-answers.ts';
import type { By, GateCaller, Heard } from './gate-ask.ts';
import { GATE_ACTION } from './gate-button.ts';
import { type Line, parseLine } from './gate-line.ts';
import { type Merged, merged } from './gate-merge.ts';
import { argument } from './gate-words.ts';
import type { MessageIndex } from './index.ts';
import { Answerer, type To } from './respond.ts';
import type { Slack } from './slack.ts';

const SAID_MS = 600_000;

const id = z.string().min(1).max(64);
const secret = z.string().max(2_000);
const typedSchema = z.object({
  user_id: id,
  team_id: id.optional(),
  channel_id: id,
  text: z.string().max(50_000).default(''),
  trigger_id: z.string().min(1).max(300),
  response_url: secret.optional(),
});
const pressedSchema = z.object({
  trigger_id: z.string().min(1).max(300),
  user: z.object({ id, team_id: id.optional() }),
  team: z.object({ id }).nullish(),
  channel: z.object({ id }).optional(),
  message: z.object({ bot_id: z.string().max(64).optional() }).optional(),
  response_url: secret.optional(),
  actions: z.array(z.object({ action_id: z.string().max(255), value: z.string().max(2_000) })).min(1),
});

/** Opens the form that makes a rule. The trigger lasts three seconds. */
export type OpenBuilder = (it: {
  readonly trigger: string;
  readonly by: By;
  /** The rule to change; absent: a new one. */
  readonly rule: string | undefined;
}) => Promise<void>;

export type CommandsOptions = {
  readonly gate: GateCaller;
  readonly slack: Slack;
  readonly index: Pick<MessageIndex, 'once'>;
  readonly self: { readonly team: string; readonly bot: string };
  readonly log: Logger;
  readonly openBuilder?: OpenBuilder;
  readonly now?: () => number;
};

type Ack = () => Promise<void>;
type Asked = {
  readonly line: Line;
  readonly by: By;
  readonly to: To;
  readonly trigger: string;
  readonly sure: boolean;
};

export class Commands {
  readonly #it: CommandsOptions;
  readonly #now: () => number;
  readonly answerer: Answerer;

  constructor(options: CommandsOptions) {
    this.#it = options;
    this.#now = options.now ?? Date.now;
    this.answerer = new Answerer(options.slack, options.log);
  }

  register(app: App): void {
    app.command('/gate', async ({ ack, command }) => this.typed(command, () => ack()));
    app.action(GATE_ACTION, async ({ ack, body }) => this.pressed(body, () => ack()));
  }

  /** One slash command. */
  async typed(body: unknown, ack: Ack): Promise<void> {
    await ack();
    const parsed = typedSchema.safeParse(body);
    if (!parsed.success) return this.#it.log.warn('a command that is none of ours');
    const { user_id: user, team_id: team, channel_id: channel, text, trigger_id: trigger, response_url } = parsed.data;
    return this.#asked({
      line: parseLine(text, { escaped: true }),
      by: { id: askId(user, trigger), user, team, channel, at: this.#now() },
      to: { user, channel, url: response_url },
      trigger,
      sure: false,
    });
  }

  /** A button that says a line: judged as if whoever pressed it had typed it. */
  async pressed(body: unknown, ack: Ack): Promise<void> {
    await ack();
    const parsed = pressedSchema.safeParse(body);
    const it = parsed.data;
    const { team, bot } = this.#it.self;
    if (!it || (it.team?.id ?? team) !== team || (it.message?.bot_id ?? bot) !== bot) {
      return this.#it.log.warn('a button that is none of ours');
    }
    const { user, trigger_id: trigger, response_url } = it;
    const channel = it.channel?.id;
    return this.#asked({
      line: parseLine(it.actions[0]?.value ?? '', { escaped: false }),
      by: {
        id: askId(user.id, trigger),
        user: user.id,
        team: user.team_id ?? it.team?.id,
        channel: channel ?? '',
        at: this.#now(),
      },
      to: { user: user.id, channel, url: response_url },
      trigger,
      sure: true, // Slack asked, where it is worth asking
    });
  }

  async #asked({ line, by, to, trigger, sure }: Asked): Promise<void> {
    switch (line.kind) {
      case 'builder':
        if (this.#it.openBuilder) return this.#it.openBuilder({ trigger, by, rule: line.rule });
        return this.#say(by, to, answerViews(undefined, helpAnswer('rules')));
      case 'help':
        return this.#say(by, to, answerViews(undefined, helpAnswer(line.topic)));
      case 'wrong':
        return this.#say(by, to, answerViews(undefined, wrongAnswer(line.text, line.topic)));
      case 'command': {
        const { command, said } = line;
        if (command.do === 'kill' && !sure) {
          const meant = await this.#it.gate.ask({ do: 'kill-check', what: command.what }, by);
          return this.#say(by, to, answerViews(said, killFirst(command.what, meant)));
        }
        const heard = await this.#it.gate.ask(command, by);
        return this.#say(by, to, answerViews(said, merged(heard, command.do)));
      }
    }
  }

  /** Once an ask, however often Slack delivers it and to how many bots. */
  async #say(by: By, to: To, views: readonly View[]): Promise<void> {
    // Without Redis nobody knows whether it was said: rather twice than never.
    const first = await this.#it.index.once(`said-${by.id}`, SAID_MS).catch(() => true);
    if (first) await this.answerer.answer(to, views);
  }
}

/** What is asked before anything is ended: of those who may, and where somebody is meant, or might be. */
function killFirst(what: string, heard: Heard): Merged {
  const { text, sections } = merged(heard, 'kill-check');
  const refused = heard.answers.length > 0 && heard.answers.every(({ ok }) => !ok);
  if (refused || heard.trouble !== undefined) return { text, sections };
  if (heard.silent.length === 0 && !heard.answers.some((answer) => answer.sections.length > 0)) {
    return {
      text: `Nobody is called ${what}: no session has that id, and nobody who is connected has that name, subject or issuer#subject. Nothing was ended.`,
      sections: [{ lines: [], buttons: [{ label: 'Who is connected', line: 'sessions' }] }],
    };
  }
  const button = {
    label: 'Kill',
    line: `kill ${argument(what)}`,
    confirm: `Ends what is called ${what} on every gateway, at once.`.slice(0, 280),
    danger: true,
  };
  return {
    text: `Ends every session of ${what}, or the one session of that id, with whatever it waits for. Nothing was ended yet.`,
    sections: [...sections, { lines: [], buttons: [button] }],
  };
}

/** A redelivered command has the same trigger, and two commands never have. */
export const askId = (user: string, trigger: string): string =>
  `gate-${createHash('sha256').update(`${user} ${trigger}`).digest('hex').slice(0, 40)}`;
