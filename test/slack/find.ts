/** Finds what a click is on and what it sends: elements of blocks, by action id. Pure. */
import type { Json } from './workspace.ts';

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export function findElement(
  blocks: Json[],
  actionId: string,
  blockId?: string,
): { element: Json; blockId: string } | undefined {
  for (const block of blocks) {
    if (blockId !== undefined && block.block_id !== blockId) continue;
    const dispatching = block.type === 'input' && block.dispatch_action === true ? block.element : undefined;
    const inside =
      block.type === 'actions' && Array.isArray(block.elements) ? block.elements : [block.accessory, dispatching];
    const element = inside.filter(isObject).find((one) => one.action_id === actionId && one.type !== 'image');
    if (element !== undefined) return { element, blockId: String(block.block_id) };
  }
  return undefined;
}

/** Thrown for a choice that is not on the menu. */
export class NoSuchChoice extends Error {}

/** The `actions[0]` of an element, with the chosen option where it is a menu. */
export function actionOf(element: Json, value: string | undefined): Json {
  const { action_id, type } = element;
  if (type === 'button') {
    if (value !== undefined && value !== element.value) throw new NoSuchChoice('a button sends its own value');
    return { action_id, type, text: element.text, ...pick(element, 'value'), ...pick(element, 'style') };
  }
  if (type === 'overflow' || type === 'static_select' || type === 'radio_buttons') {
    const groups = Array.isArray(element.option_groups) ? (element.option_groups as Json[]) : [];
    const options = [element.options, ...groups.map((group) => group.options)].flat().filter(isObject);
    const chosen = options.find((option) => option.value === value);
    if (chosen === undefined) throw new NoSuchChoice(`no option with value ${String(value)} there now`);
    return { action_id, type, selected_option: chosen };
  }
  if (type === 'multi_static_select') return { action_id, type, selected_options: [] };
  if (type === 'users_select') return { action_id, type, selected_user: value ?? null };
  return { action_id, type, value: value ?? null };
}

const pick = (fields: Json, key: string): Json => (fields[key] === undefined ? {} : { [key]: fields[key] });
