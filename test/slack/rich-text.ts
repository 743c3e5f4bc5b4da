/** Rules of form for rich_text blocks. Pure. */
import type { Form } from './form.ts';

const STYLES = ['bold', 'italic', 'strike', 'code', 'underline', 'highlight', 'client_highlight', 'unlink'];

/** Inline elements: required key first, then what else may stand there. */
const INLINE: Record<string, readonly [required: string, ...rest: string[]]> = {
  text: ['text', 'style'],
  link: ['url', 'text', 'unsafe', 'style'],
  user: ['user_id', 'style'],
  usergroup: ['usergroup_id', 'style'],
  channel: ['channel_id', 'style'],
  broadcast: ['range', 'style'],
  emoji: ['name', 'unicode', 'skin_tone', 'style'],
  date: ['timestamp', 'format', 'url', 'fallback'],
  color: ['value', 'style'],
};
const PREFORMATTED_INLINE = new Set(['text', 'link']);

export function checkRichText(form: Form, block: Record<string, unknown>, at: string): void {
  form.keys(block, ['type', 'block_id', 'elements'], at);
  form.list(block, 'elements', at, { min: 1, max: 1000 }, (element, there) => {
    const fields = form.object(element, there);
    if (fields === undefined) return;
    switch (fields.type) {
      case 'rich_text_section':
        form.keys(fields, ['type', 'elements'], there);
        return inlines(form, fields, there);
      case 'rich_text_quote':
      case 'rich_text_preformatted':
        form.keys(fields, ['type', 'elements', 'border'], there);
        form.integer(fields, 'border', there, 0, 1);
        return inlines(form, fields, there, fields.type === 'rich_text_preformatted');
      case 'rich_text_list':
        form.keys(fields, ['type', 'style', 'elements', 'indent', 'offset', 'border'], there);
        form.oneOf(fields, 'style', ['bullet', 'ordered'], there);
        if (fields.style === undefined) form.fail('missing required field: style', there);
        form.list(fields, 'elements', there, { min: 1, max: 1000 }, (item, where) => {
          const section = form.object(item, where);
          if (section?.type !== 'rich_text_section') form.fail('must be a rich_text_section', where);
          else inlines(form, section, where);
        });
        return;
      default:
        form.fail(`unsupported type: ${String(fields.type)}`, `${there}/type`);
    }
  });
}

function inlines(form: Form, parent: Record<string, unknown>, at: string, preformatted = false): void {
  form.list(parent, 'elements', at, { min: 0, max: 1000 }, (element, there) => {
    const fields = form.object(element, there);
    if (fields === undefined) return;
    const type = String(fields.type);
    const keys = INLINE[type];
    if (keys === undefined || (preformatted && !PREFORMATTED_INLINE.has(type))) {
      return form.fail(`unsupported type: ${type.slice(0, 60)}`, `${there}/type`);
    }
    form.keys(fields, ['type', ...keys], there);
    const [required] = keys;
    if (type === 'date') {
      if (!Number.isInteger(fields.timestamp)) form.fail('must provide an integer', `${there}/timestamp`);
      form.string(fields, 'format', there, { max: 500 });
    } else {
      form.string(fields, required, there, { max: 40_000 });
    }
    if (fields.style === undefined) return;
    const style = form.object(fields.style, `${there}/style`);
    if (style === undefined) return;
    form.keys(style, STYLES, `${there}/style`);
    for (const key of STYLES) form.boolean(style, key, `${there}/style`);
  });
}
