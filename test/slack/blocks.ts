/** Block Kit's rules of form: messages, modals and Home views as strictly as Slack judges them. Pure; changes nothing. */
import { ACCESSORIES, ACTION_ELEMENTS, checkElement, INPUT_ELEMENTS } from './elements.ts';
import { Form } from './form.ts';
import { checkRichText } from './rich-text.ts';

export type Surface = 'message' | 'modal' | 'home';

const MAX_BLOCKS: Record<Surface, number> = { message: 50, modal: 100, home: 100 };
export const MAX_MESSAGE_BLOCK_CHARACTERS = 13_200; // undocumented; refused by Slack from about here
const MAX_VIEW_BYTES = 250_000;
const MAX_MARKDOWN = 12_000;

/** Errors of a message's or view's blocks as Slack words them; none when they may pass. */
export function blockErrors(blocks: unknown, surface: Surface, at = '/blocks'): string[] {
  const form = new Form();
  checkBlocks(form, blocks, surface, at);
  return form.errors;
}

/** True when the blocks together are more than one message may carry. */
export function blocksTooLong(blocks: unknown[]): boolean {
  return JSON.stringify(blocks).length > MAX_MESSAGE_BLOCK_CHARACTERS;
}

function checkBlocks(form: Form, blocks: unknown, surface: Surface, at: string): void {
  if (!Array.isArray(blocks)) {
    form.fail('must provide an array', at);
    return;
  }
  if (blocks.length > MAX_BLOCKS[surface]) form.fail(`no more than ${MAX_BLOCKS[surface]} items allowed`, at);
  const ids = new Set<string>();
  let markdown = 0;
  for (const [index, block] of blocks.entries()) {
    const here = `${at}/${index}`;
    const fields = form.object(block, here);
    if (fields === undefined) continue;
    if (typeof fields.block_id === 'string') {
      if (ids.has(fields.block_id)) form.fail(`\`block_id\` ${fields.block_id} already exists`, `${here}/block_id`);
      ids.add(fields.block_id);
    }
    checkBlock(form, fields, surface, here);
    if (fields.type === 'markdown' && typeof fields.text === 'string') markdown += fields.text.length;
  }
  if (markdown > MAX_MARKDOWN) form.fail(`markdown must be less than ${MAX_MARKDOWN + 1} characters in all`, at);
}

function checkBlock(form: Form, block: Record<string, unknown>, surface: Surface, at: string): void {
  form.string(block, 'block_id', at, { max: 255, optional: true });
  switch (block.type) {
    case 'section':
      form.keys(block, ['type', 'block_id', 'text', 'fields', 'accessory', 'expand'], at);
      if (block.text === undefined && block.fields === undefined)
        form.fail('missing required field: text or fields', at);
      form.text(block, 'text', at, { max: 3000, optional: true });
      form.list(block, 'fields', at, { min: 1, max: 10, optional: true }, (_, there) =>
        form.textAt(_, there, { max: 2000 }),
      );
      if (block.accessory !== undefined) checkElement(form, block.accessory, ACCESSORIES, `${at}/accessory`);
      return;
    case 'header':
      form.keys(block, ['type', 'block_id', 'text', 'level'], at);
      form.text(block, 'text', at, { max: 150, plain: true });
      return;
    case 'divider':
      form.keys(block, ['type', 'block_id'], at);
      return;
    case 'context':
      form.keys(block, ['type', 'block_id', 'elements'], at);
      form.list(block, 'elements', at, { min: 1, max: 10 }, (element, there) => {
        const fields = form.object(element, there);
        if (fields === undefined) return;
        if (fields.type === 'image') checkElement(form, element, new Set(['image']), there);
        else form.textAt(element, there, { max: 3000 });
      });
      return;
    case 'actions':
      form.keys(block, ['type', 'block_id', 'elements'], at);
      form.list(block, 'elements', at, { min: 1, max: 25 }, (element, there) =>
        checkElement(form, element, ACTION_ELEMENTS, there),
      );
      checkSet(form, block.elements, at);
      return;
    case 'input':
      form.keys(block, ['type', 'block_id', 'label', 'element', 'dispatch_action', 'hint', 'optional'], at);
      form.text(block, 'label', at, { max: 2000, plain: true });
      form.text(block, 'hint', at, { max: 2000, plain: true, optional: true });
      form.boolean(block, 'optional', at);
      form.boolean(block, 'dispatch_action', at);
      checkElement(form, block.element, INPUT_ELEMENTS, `${at}/element`);
      return;
    case 'image':
      form.keys(block, ['type', 'block_id', 'image_url', 'slack_file', 'alt_text', 'title'], at);
      form.string(block, 'alt_text', at, { max: 2000 });
      form.text(block, 'title', at, { max: 2000, plain: true, optional: true });
      if (block.slack_file === undefined) form.url(block, 'image_url', at);
      return;
    case 'rich_text':
      checkRichText(form, block, at);
      return;
    case 'markdown':
      form.keys(block, ['type', 'block_id', 'text'], at);
      form.string(block, 'text', at, { max: MAX_MARKDOWN });
      if (surface !== 'message') form.fail('unsupported type: markdown', at);
      return;
    default:
      form.fail(`unsupported type: ${String(block.type)}`, `${at}/type`);
  }
}

/** Action ids are unique within their block; one button of a set is primary. */
function checkSet(form: Form, elements: unknown, at: string): void {
  if (!Array.isArray(elements)) return;
  const ids = new Set<unknown>();
  let primary = 0;
  for (const [index, element] of elements.entries()) {
    if (typeof element !== 'object' || element === null) continue;
    const { action_id: id, style } = element as Record<string, unknown>;
    if (id !== undefined && ids.has(id))
      form.fail(`\`action_id\` ${String(id)} already exists`, `${at}/elements/${index}`);
    ids.add(id);
    if (style === 'primary') primary += 1;
  }
  if (primary > 1) form.fail('only one button of a set may be primary', `${at}/elements`);
}

const MODAL_KEYS = [
  'type',
  'title',
  'blocks',
  'close',
  'submit',
  'private_metadata',
  'callback_id',
  'clear_on_close',
  'notify_on_close',
  'external_id',
  'submit_disabled',
];
const HOME_KEYS = ['type', 'blocks', 'private_metadata', 'callback_id', 'external_id'];

/** Errors of a whole view; `view_too_large` stands alone. */
export function viewErrors(
  view: unknown,
): { error: 'invalid_arguments' | 'view_too_large'; messages: string[] } | undefined {
  const form = new Form();
  const fields = form.object(view, '/view');
  if (fields === undefined) return { error: 'invalid_arguments', messages: form.errors };
  if (Buffer.byteLength(JSON.stringify(fields)) > MAX_VIEW_BYTES) return { error: 'view_too_large', messages: [] };
  form.string(fields, 'private_metadata', '/view', { max: 3000, min: 0, optional: true });
  form.string(fields, 'callback_id', '/view', { max: 255, min: 0, optional: true });
  form.string(fields, 'external_id', '/view', { max: 255, min: 0, optional: true });
  if (fields.type === 'modal') {
    form.keys(fields, MODAL_KEYS, '/view');
    form.text(fields, 'title', '/view', { max: 24, plain: true });
    form.text(fields, 'submit', '/view', { max: 24, plain: true, optional: true });
    form.text(fields, 'close', '/view', { max: 24, plain: true, optional: true });
    for (const key of ['clear_on_close', 'notify_on_close', 'submit_disabled']) form.boolean(fields, key, '/view');
    const blocks = Array.isArray(fields.blocks) ? (fields.blocks as { type?: unknown }[]) : [];
    if (fields.submit === undefined && blocks.some((block) => block?.type === 'input')) {
      form.fail('submit is required when an input block is present', '/view/submit');
    }
    checkBlocks(form, fields.blocks, 'modal', '/view/blocks');
  } else if (fields.type === 'home') {
    form.keys(fields, HOME_KEYS, '/view');
    checkBlocks(form, fields.blocks, 'home', '/view/blocks');
  } else {
    form.fail(`unsupported type: ${String(fields.type)}`, '/view/type');
  }
  return form.errors.length === 0 ? undefined : { error: 'invalid_arguments', messages: form.errors };
}
