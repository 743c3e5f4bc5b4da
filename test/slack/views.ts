/** Modals and Home tabs as a user has them open: stack, hashes, what is typed in, what may be submitted. */
import { randomBytes } from 'node:crypto';
import { ApiError } from './api.ts';
import { withIds } from './messages.ts';
import { BOT, type Json, type View, type Workspace } from './workspace.ts';

const MAX_STACK = 3;

type Values = View['state']['values'];

const newHash = (workspace: Workspace): string => `${workspace.seconds()}.${randomBytes(4).toString('base64url')}`;

function made(workspace: Workspace, user: string, raw: Json, stack: View[]): View {
  const external = typeof raw.external_id === 'string' ? raw.external_id : '';
  const all = [...workspace.modals.values()].flat();
  if (external !== '' && all.some((view) => view.external_id === external)) throw new ApiError('duplicate_external_id');
  const id = workspace.newId('V');
  const blocks = withIds(raw.blocks as Json[]);
  return {
    private_metadata: '',
    callback_id: '',
    clear_on_close: false,
    notify_on_close: false,
    close: null,
    submit: null,
    submit_disabled: false,
    title: { type: 'plain_text', text: 'View' },
    ...raw,
    external_id: external,
    id,
    type: raw.type === 'home' ? 'home' : 'modal',
    team_id: workspace.team.id,
    app_id: BOT.app,
    app_installed_team_id: workspace.team.id,
    bot_id: BOT.bot,
    blocks,
    user,
    hash: newHash(workspace),
    root_view_id: stack[0]?.id ?? id,
    previous_view_id: stack.at(-1)?.id ?? null,
    state: { values: initialValues(blocks) },
  };
}

/** As the API and payloads show it; who has it open is nobody else's business. */
export function viewJson(view: View): Json {
  const { user, ...shown } = view;
  return { ...shown };
}

export function openView(workspace: Workspace, user: string, raw: Json, how: 'open' | 'push'): Json {
  const stack = workspace.stack(user);
  if (how === 'open') stack.length = 0; // Slack shows one modal stack; a new one takes its place
  if (how === 'push' && stack.length === 0) throw new ApiError('not_found');
  if (stack.length >= MAX_STACK) throw new ApiError('push_limit_reached');
  const view = made(workspace, user, raw, stack);
  stack.push(view);
  workspace.touchedView(view);
  return viewJson(view);
}

/** Replaces a view's content; what was typed is kept where block_id and action_id stay. */
export function updateView(workspace: Workspace, view: View, raw: Json): Json {
  const blocks = withIds(raw.blocks as Json[]);
  const values = initialValues(blocks);
  for (const [block, actions] of Object.entries(values)) {
    for (const action of Object.keys(actions)) {
      const before = view.state.values[block]?.[action];
      if (before !== undefined) actions[action] = before;
    }
  }
  Object.assign(view, { close: null, submit: null, submit_disabled: false }, raw, {
    type: view.type,
    external_id: view.external_id,
    blocks,
    hash: newHash(workspace),
    state: { values },
  });
  workspace.touchedView(view);
  return viewJson(view);
}

export function publishHome(workspace: Workspace, user: string, raw: Json): Json {
  if (raw.type !== 'home') throw new ApiError('invalid_arguments');
  const view = made(workspace, user, raw, []);
  workspace.homes.set(user, view);
  workspace.touchedView(view);
  return viewJson(view);
}

/** Closes a view as its user does: it, and what stands above it. */
export function closeView(workspace: Workspace, view: View, whole: boolean): void {
  const stack = workspace.stack(view.user);
  stack.length = whole ? 0 : Math.max(0, stack.indexOf(view));
  workspace.touchedView(view);
}

function initialValues(blocks: Json[]): Values {
  const values: Values = {};
  for (const block of blocks) {
    if (block.type !== 'input') continue;
    const element = block.element as Json;
    values[String(block.block_id)] = { [String(element.action_id)]: initialValue(element) };
  }
  return values;
}

function initialValue(element: Json): Json {
  const type = String(element.type);
  if (type.endsWith('_input')) return { type, value: element.initial_value ?? null };
  if (type === 'checkboxes' || type === 'multi_static_select')
    return { type, selected_options: element.initial_options ?? [] };
  if (type === 'multi_users_select') return { type, selected_users: element.initial_users ?? [] };
  if (type === 'conversations_select') return { type, selected_conversation: element.initial_conversation ?? null };
  if (type === 'static_select' || type === 'radio_buttons')
    return { type, selected_option: element.initial_option ?? null };
  return { type };
}

const isEmpty = (value: Json): boolean =>
  Object.entries(value).every(
    ([key, one]) =>
      key === 'type' || one === null || one === undefined || one === '' || (Array.isArray(one) && one.length === 0),
  );

/**
 * Types `given` (as in `view.state.values`; a bare string is a `value`) into the view's inputs.
 * Returns what Slack's own client would refuse, keyed by block id; an input that is not there is an error, too.
 */
export function fillIn(view: View, given: Json): Record<string, string> {
  const errors: Record<string, string> = {};
  for (const [block, actions] of Object.entries(given)) {
    for (const [action, value] of Object.entries((actions ?? {}) as Json)) {
      const slot = view.state.values[block]?.[action];
      if (slot === undefined) {
        errors[block] = `no such input: ${block}/${action}`;
        continue;
      }
      const fields: Json = typeof value === 'string' ? { value } : { ...(value as Json) };
      view.state.values[block] = { ...view.state.values[block], [action]: { ...slot, ...fields, type: slot.type } };
    }
  }
  for (const block of view.blocks) {
    if (block.type !== 'input') continue;
    const id = String(block.block_id);
    const element = block.element as Json;
    const value = view.state.values[id]?.[String(element.action_id)] ?? {};
    if (isEmpty(value)) {
      if (block.optional !== true) errors[id] ??= 'Please complete this required field.';
      continue;
    }
    const text = typeof value.value === 'string' ? value.value : '';
    const max = typeof element.max_length === 'number' ? element.max_length : 3000;
    const min = typeof element.min_length === 'number' ? element.min_length : 0;
    if (text.length > max) errors[id] ??= `Must be at most ${max} characters.`;
    if (value.value !== undefined && text.length < min) errors[id] ??= `Must be at least ${min} characters.`;
  }
  return errors;
}
