/** The form that makes a rule: its fields, the line they say, and where in it a mistake belongs. Pure; knows no grammar. */
import type { types } from '@slack/bolt';
import { z } from 'zod';
import type { Answer, RuleForm } from '../queue/asks.ts';
import { visible } from '../queue/review.ts';
import { actions, button, plain, preformatted } from './blocks.ts';
import { cut } from './text.ts';

export const BUILDER = 'rule'; // the view's callback id
export const CHECK = 'rule.check';
/** A choice that shows the line anew. */
export const CHANGED = 'rule.field';

const ANY = 'any';
const EXPIRES = ['5m', '10m', '15m', '30m', '1h', '2h', '4h', '8h', '24h'];
const MOST_QUORUM = 20;
const MOST_TEXT = 3_000;
const MOST_WHY = 500;
const MOST_PEOPLE = 50; // as many as a rule takes

/** What the view remembers of where it came from. */
const memorySchema = z.strictObject({ channel: z.string().max(64), rule: z.string().max(64).optional() });
export type BuilderMemory = z.infer<typeof memorySchema>;

export function parseBuilderMemory(privateMetadata: string | undefined): BuilderMemory | undefined {
  try {
    const parsed = memorySchema.safeParse(JSON.parse(privateMetadata ?? ''));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

/** More characters no gateway reads. */
export const MOST_LINE = 4_000;

export type Preview = { readonly line: string; readonly said: string };

type Choice = NonNullable<Answer['form']>;

const text = (words: string): types.PlainTextElement => ({ type: 'plain_text', text: words, emoji: false });
const option = (value: string, label = value): types.PlainTextOption => ({ text: text(cut(label, 75)), value });
const options = (values: readonly string[]) => values.map((value) => option(value));

/** While the gateways are asked. */
export function waitingView(memory: BuilderMemory): types.ModalView {
  return { ...frame(memory), blocks: [plain('wait', 'Asking the gateways…')] };
}

const frame = (memory: BuilderMemory): Omit<types.ModalView, 'blocks'> => ({
  type: 'modal',
  callback_id: BUILDER,
  private_metadata: JSON.stringify(memory),
  title: text(memory.rule === undefined ? 'New rule' : 'Edit rule'),
  close: text('Cancel'),
});

/** Something to read instead of the form. */
export const noteView = (memory: BuilderMemory, words: string): types.ModalView => ({
  ...frame(memory),
  close: text('Close'),
  blocks: [plain('note', visible(words).text)],
});

/** The whole form; filled where there is a rule. What is typed stays when it is shown anew. */
export function builderView(choice: Choice, memory: BuilderMemory, preview?: Preview): types.ModalView {
  const { rule } = choice;
  const connections = [...new Set([...choice.connections, ...(rule?.connections ?? [])])].slice(0, 100);
  const expires = [...new Set([...EXPIRES, ...(rule?.expires ? [rule.expires] : [])])];
  const where = { absent: 'without a condition', present: 'with a condition', [ANY]: 'either' };
  const verdicts = { hold: 'hold until people approve', deny: 'deny', allow: 'allow' };
  const labelled = (all: Readonly<Record<string, string>>) => Object.entries(all).map(([v, label]) => option(v, label));
  return {
    ...frame(memory),
    submit: text(memory.rule === undefined ? 'Add' : 'Change'),
    blocks: [
      select('verdict', 'Verdict', labelled(verdicts), rule?.verdict ?? 'hold'),
      many('action', 'Actions', options(choice.actions), rule?.actions, 'any action'),
      many('on', 'Connections', options(connections), rule?.connections, 'any connection'),
      typed('object', 'Objects', rule?.object, 'customers, or public.customers, or *.secrets; empty: any'),
      select('where', 'Updates and deletes', labelled(where), rule?.where ?? ANY),
      typed('by', 'By', rule?.by, 'report-bot, or group:NAME; empty: anybody'),
      typed('rows', 'Only above so many rows', rule?.rows, '1000; empty: whatever the number'),
      field('people', 'Approvers: people', {
        type: 'multi_users_select',
        max_selected_items: MOST_PEOPLE,
        ...(rule && rule.people.length > 0 ? { initial_users: rule.people } : {}),
      }),
      typed('groups', 'Approvers: groups', rule?.groups, '@dba-oncall oidc:leads; none at all: the default approvers'),
      select('quorum', 'How many must approve', counts(), String(rule?.quorum ?? 1)),
      select('expires', 'Time to decide', [option(ANY, 'as usual'), ...options(expires)], rule?.expires || ANY),
      field('options', 'Options', {
        type: 'checkboxes',
        options: OPTIONS,
        ...initial('initial_options', rule ? OPTIONS.filter(({ value }) => rule[value as 'reason' | 'confirm']) : []),
      }),
      field('in', 'Channel of the cards', {
        type: 'conversations_select',
        filter: { include: ['public', 'private'], exclude_bot_users: true },
        ...(rule?.channel === undefined ? {} : { initial_conversation: rule.channel }),
      }),
      typed('why', 'Why', rule?.why, 'One sentence: requesters and approvers read it', MOST_WHY),
      typed('more', 'More', rule?.more, 'except (by ci-bot) bytes > 10MB escalate @leads after 5m notify dm'),
      ...(preview ? [preformatted('line', preview.line), plain('said', preview.said)] : []),
      actions('check', [button(CHECK, 'Show the line', 'check', { says: 'Show the line this makes, and check it' })]),
    ],
  };
}

const OPTIONS = [
  option('reason', 'Approving needs a reason'),
  option('confirm', 'Ask again when it touched more rows'),
];
const counts = () => Array.from({ length: MOST_QUORUM }, (_, n) => option(String(n + 1)));
const initial = <T>(key: string, chosen: readonly T[]) => (chosen.length > 0 ? { [key]: chosen } : {});

function field(block_id: string, label: string, element: Record<string, unknown>, optional = true): types.InputBlock {
  const made = { ...element, action_id: CHANGED } as types.InputBlock['element'];
  return { type: 'input', block_id, optional, label: text(label), element: made };
}

function typed(id: string, label: string, value: string | undefined, hint: string, max = MOST_TEXT): types.InputBlock {
  return field(id, label, {
    type: 'plain_text_input',
    max_length: max,
    placeholder: text(cut(hint, 150)),
    ...(value ? { initial_value: value } : {}),
  });
}

function select(id: string, label: string, all: types.PlainTextOption[], value: string): types.InputBlock {
  const chosen = all.find((one) => one.value === value);
  const block = field(
    id,
    label,
    { type: 'static_select', options: all, ...(chosen ? { initial_option: chosen } : {}) },
    false,
  );
  return { ...block, dispatch_action: true };
}

function many(
  id: string,
  label: string,
  all: types.PlainTextOption[],
  values: readonly string[] = [],
  hint: string,
): types.InputBlock {
  const chosen = all.filter(({ value }) => value !== undefined && values.includes(value));
  const element = {
    type: 'multi_static_select',
    options: all,
    placeholder: text(hint),
    ...initial('initial_options', chosen),
  };
  return { ...field(id, label, element), dispatch_action: true };
}

// As much as Slack could send: what is too much is for the gateway to refuse, and a field that is left out is another rule.
const chosenSchema = z.object({ value: z.string().max(1_000) });
const valueSchema = z.object({
  [CHANGED]: z.object({
    value: z.string().max(100_000).nullish(),
    selected_option: chosenSchema.nullish(),
    selected_options: z.array(chosenSchema).max(1_000).nullish(),
    selected_users: z.array(z.string().max(32)).max(10_000).nullish(),
    selected_conversation: z.string().max(64).nullish(),
  }),
});
const valuesSchema = z.record(z.string(), z.unknown());

/** What stands in the fields. */
export function fieldsIn(values: unknown): Omit<RuleForm, 'id'> {
  const all = valuesSchema.safeParse(values).data ?? {};
  const of = (block: string) => valueSchema.safeParse(all[block]).data?.[CHANGED];
  const typedIn = (block: string) => of(block)?.value?.replaceAll('\n', ' ').trim() ?? '';
  const one = (block: string) => of(block)?.selected_option?.value;
  const several = (block: string) => (of(block)?.selected_options ?? []).map(({ value }) => value);
  const verdict = one('verdict');
  const where = one('where');
  const expires = one('expires');
  return {
    verdict: verdict === 'deny' || verdict === 'allow' ? verdict : 'hold',
    actions: several('action'),
    connections: several('on'),
    object: typedIn('object'),
    where: where === 'absent' || where === 'present' ? where : undefined,
    by: typedIn('by'),
    rows: typedIn('rows'),
    people: of('people')?.selected_users ?? [],
    groups: typedIn('groups'),
    quorum: Number(one('quorum') ?? 1),
    expires: expires === undefined || expires === ANY ? '' : expires,
    reason: several('options').includes('reason'),
    confirm: several('options').includes('confirm'),
    channel: of('in')?.selected_conversation ?? undefined,
    why: of('why')?.value?.trim() ?? '',
    more: typedIn('more'),
  };
}

type Piece = { readonly block: string; readonly text: string };

/** What each field says of the line, in its order. */
function pieces(fields: Omit<RuleForm, 'id'>, id: string | undefined): Piece[] {
  const { verdict, where, by, rows, groups, people, quorum, expires, channel, why, more } = fields;
  const said: Piece[] = [];
  const put = (block: string, text: string | undefined) => {
    if (text !== undefined) said.push({ block, text: said.length === 0 ? text : ` ${text}` });
  };
  const typed = (block: string, text: string, before = '') => put(block, text === '' ? undefined : before + text);
  put('verdict', verdict);
  put('action', fields.actions.join() || '*');
  put('on', `on ${fields.connections.join() || '*'}`);
  if (fields.object !== '') said.push({ block: 'object', text: `.${fields.object}` });
  put('where', where && `where ${where}`);
  typed('by', by, 'by ');
  typed('rows', rows, 'rows > ');
  if (people.length > 0) put('people', `approvers ${people.join(' ')}`);
  typed('groups', groups, people.length > 0 ? '' : 'approvers ');
  put('quorum', quorum === 1 ? undefined : `quorum ${quorum}`);
  typed('expires', expires, 'expires ');
  put('options', fields.reason ? 'require reason' : undefined);
  put('options', fields.confirm ? 'confirm rows' : undefined);
  put('in', channel && `in ${channel}`);
  typed('more', more);
  put('verdict', id && `id ${id}`);
  typed('why', why === '' ? '' : `"${why.replaceAll(/[\\"]/g, '\\$&').replaceAll('\n', '\\n')}"`);
  return said;
}

/** The line those fields say; gateways read it. */
export const lineOf = (fields: Omit<RuleForm, 'id'>, id: string | undefined): string =>
  pieces(fields, id)
    .map(({ text }) => text)
    .join('');

/** The block at which a mistake is shown: whose words it is about; where it is about what is missing, what it belongs to. */
export function blockOf(
  { part, at = 0 }: Pick<Answer, 'part' | 'at'>,
  fields: Omit<RuleForm, 'id'>,
  id: string | undefined,
): string {
  let end = 0;
  for (const { block, text } of pieces(fields, id)) {
    end += text.length;
    if (at > 0 && at <= end) return block;
  }
  const blocks: Readonly<Record<string, string>> = {
    approvers: 'groups',
    require: 'options',
    confirm: 'options',
    except: 'more',
    notify: 'more',
    escalate: 'more',
  };
  const known = ['action', 'on', 'where', 'by', 'rows', 'quorum', 'expires', 'in', 'why'];
  return blocks[part ?? ''] ?? (known.includes(part ?? '') ? String(part) : 'verdict');
}
