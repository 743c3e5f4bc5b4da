/** The form that makes a rule, as it is used: opened, checked, submitted. Gateways read the line; nothing is decided here. */
import type { App } from '@slack/bolt';
import type { Logger } from 'pino';
import { z } from 'zod';
import {
  BUILDER,
  type BuilderMemory,
  blockOf,
  builderView,
  CHANGED,
  CHECK,
  fieldsIn,
  lineOf,
  MOST_LINE,
  noteView,
  type Preview,
  parseBuilderMemory,
  waitingView,
} from './builder.ts';
import { askId, type OpenBuilder } from './commands.ts';
import { answerViews } from './gate-answers.ts';
import type { By, GateCaller, Heard } from './gate-ask.ts';
import { merged } from './gate-merge.ts';
import type { MessageIndex } from './index.ts';
import type { Answerer } from './respond.ts';
import type { Slack } from './slack.ts';
import { cut } from './text.ts';
import { within } from './wait.ts';

const SUBMIT_MS = 2_200; // a submission's answer has to be in its acknowledgement
const SAID_MS = 600_000;
const TOO_LONG = `The rule is longer than ${MOST_LINE.toLocaleString('en-US')} characters.`;
const LATE = 'No gateway answered in time: nothing was changed. Submit it again.';

const id = z.string().min(1).max(64);
const usedSchema = z.object({
  trigger_id: z.string().min(1).max(300),
  user: z.object({ id, team_id: id.optional() }),
  team: z.object({ id }).nullish(),
  view: z.object({
    id,
    hash: z.string().max(200).optional(),
    callback_id: z.literal(BUILDER),
    private_metadata: z.string().max(3_000),
    state: z.object({ values: z.unknown() }),
  }),
});
type Used = z.infer<typeof usedSchema>;

export type BuildingOptions = {
  readonly gate: GateCaller;
  readonly slack: Slack;
  readonly index: Pick<MessageIndex, 'once'>;
  readonly self: { readonly team: string };
  readonly answerer: () => Answerer;
  readonly log: Logger;
  readonly now?: () => number;
};

type Ack = (response?: Record<string, unknown>) => Promise<void>;

export class Building {
  readonly #it: BuildingOptions;
  readonly #now: () => number;

  constructor(options: BuildingOptions) {
    this.#it = options;
    this.#now = options.now ?? Date.now;
  }

  register(app: App): void {
    for (const name of [CHECK, CHANGED]) {
      app.action(name, async ({ ack, body }) => {
        await ack();
        await this.checked(body);
      });
    }
    app.view(BUILDER, async ({ ack, body }) => this.submitted(body, (response) => (ack as Ack)(response)));
  }

  /** At once with nothing in it: a trigger lasts three seconds, and a gateway may take longer. */
  readonly open: OpenBuilder = async ({ trigger, by, rule }) => {
    const memory: BuilderMemory = { channel: by.channel, ...(rule === undefined ? {} : { rule }) };
    let view: { id?: unknown; hash?: unknown };
    try {
      const opened = await this.#it.slack.call('views.open', { trigger_id: trigger, view: waitingView(memory) });
      view = (opened.view ?? {}) as typeof view;
    } catch (error) {
      return this.#it.log.warn({ error: String(error) }, 'the form of a rule did not open');
    }
    const heard = await this.#it.gate.ask({ do: 'rule-form', ...(rule === undefined ? {} : { rule }) }, by);
    const form = heard.answers.find(({ ok }) => ok)?.form;
    const shown = form ? builderView(form, memory) : noteView(memory, saidBy(heard));
    await this.#update(String(view.id), view.hash, shown);
  };

  /** Something was chosen, or the line is asked for: it is shown below the fields. */
  async checked(body: unknown): Promise<void> {
    const it = this.#read(body);
    if (!it) return;
    const { used, memory } = it;
    const fields = fieldsIn(used.view.state.values);
    const line = lineOf(fields, memory.rule);
    const [form, heard] = await Promise.all([
      this.#it.gate.ask(
        { do: 'rule-form', ...(memory.rule === undefined ? {} : { rule: memory.rule }) },
        this.#by(it, 'form'),
      ),
      // A part of it would be another rule.
      line.length > MOST_LINE ? undefined : this.#it.gate.ask({ do: 'rule-check', line }, this.#by(it, 'check')),
    ]);
    const choice = form.answers.find(({ ok }) => ok)?.form;
    if (!choice) return;
    const preview: Preview = { line: cut(line, 2_800), said: heard ? cut(saidBy(heard), 2_900) : TOO_LONG };
    await this.#update(used.view.id, used.view.hash, builderView(choice, memory, preview));
  }

  /** Checked before it is acknowledged, so that a mistake stands where it was made; done after. */
  async submitted(body: unknown, ack: Ack): Promise<void> {
    const it = this.#read(body);
    if (!it) return ack();
    const fields = fieldsIn(it.used.view.state.values);
    const line = lineOf(fields, it.memory.rule);
    const wrong = (block: string, text: string) =>
      ack({ response_action: 'errors', errors: { [block]: cut(text, 500) } });
    if (line.length > MOST_LINE) return wrong('verdict', TOO_LONG);
    const heard = await within(SUBMIT_MS, this.#it.gate.ask({ do: 'rule-check', line }, this.#by(it, 'check')));
    const answer = heard?.answers[0];
    if (!answer) return wrong('verdict', heard?.trouble ?? LATE);
    if (!answer.ok) return wrong(blockOf(answer, fields, it.memory.rule), answer.text);
    await ack({ response_action: 'clear' });
    const by = this.#by(it, 'add');
    const done = await this.#it.gate.ask({ do: 'rule-add', line }, by);
    const first = await this.#it.index.once(`said-${by.id}`, SAID_MS).catch(() => true);
    const to = { user: by.user, channel: by.channel === '' ? undefined : by.channel, url: undefined };
    if (first) await this.#it.answerer().answer(to, answerViews(`rules add ${line}`, merged(done, 'rule-add')));
  }

  #read(body: unknown): { used: Used; memory: BuilderMemory } | undefined {
    const used = usedSchema.safeParse(body).data;
    const memory = parseBuilderMemory(used?.view.private_metadata);
    const { team } = this.#it.self;
    if (used && memory && (used.team?.id ?? team) === team) return { used, memory };
    this.#it.log.warn('a form that is none of ours');
    return undefined;
  }

  /** One id for each thing a click sets off: a redelivery has the same. */
  #by({ used, memory }: { used: Used; memory: BuilderMemory }, what: string): By {
    const { user, team, trigger_id: trigger } = used;
    const { channel } = memory;
    return {
      id: askId(user.id, `${trigger} ${what}`),
      user: user.id,
      team: user.team_id ?? team?.id,
      channel,
      at: this.#now(),
    };
  }

  async #update(view_id: string, hash: unknown, view: object): Promise<void> {
    try {
      await this.#it.slack.call('views.update', { view_id, ...(typeof hash === 'string' ? { hash } : {}), view });
    } catch (error) {
      this.#it.log.warn({ error: String(error) }, 'the form of a rule did not change');
    }
  }
}

const saidBy = ({ answers, trouble }: Heard): string =>
  answers[0]?.text || trouble || 'No gateway answered. Close this and try again.';
