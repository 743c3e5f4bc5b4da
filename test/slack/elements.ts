/** Rules of form for what stands inside blocks: buttons, menus, inputs, confirm dialogs. Pure. */
import type { Form } from './form.ts';

const SELECTS = ['static_select', 'users_select', 'conversations_select', 'channels_select', 'external_select'];
const PICKERS = ['datepicker', 'timepicker', 'datetimepicker', 'checkboxes', 'radio_buttons'];
const MENUS = [...SELECTS, ...SELECTS.map((name) => `multi_${name}`), ...PICKERS];
const TYPED = ['plain_text_input', 'email_text_input', 'url_text_input', 'number_input'];

export const ACTION_ELEMENTS: ReadonlySet<string> = new Set(['button', 'overflow', ...MENUS]);
export const ACCESSORIES: ReadonlySet<string> = new Set(['image', 'button', 'overflow', ...MENUS]);
export const INPUT_ELEMENTS: ReadonlySet<string> = new Set([...TYPED, ...MENUS]);

type Fields = Record<string, unknown>;
type Check = (form: Form, fields: Fields, at: string) => void;

const common: Check = (form, fields, at) => {
  form.string(fields, 'action_id', at, { max: 255, optional: true });
  if (fields.confirm !== undefined) checkConfirm(form, fields.confirm, `${at}/confirm`);
};

const placeholder: Check = (form, fields, at) =>
  form.text(fields, 'placeholder', at, { max: 150, plain: true, optional: true });

const button: Check = (form, fields, at) => {
  form.keys(fields, ['type', 'action_id', 'text', 'value', 'url', 'style', 'confirm', 'accessibility_label'], at);
  form.text(fields, 'text', at, { max: 75, plain: true });
  form.string(fields, 'value', at, { max: 2000, min: 0, optional: true });
  form.string(fields, 'accessibility_label', at, { max: 75, optional: true });
  form.oneOf(fields, 'style', ['primary', 'danger'], at);
  if (fields.url !== undefined) form.url(fields, 'url', at);
};

const overflow: Check = (form, fields, at) => {
  form.keys(fields, ['type', 'action_id', 'options', 'confirm'], at);
  form.list(fields, 'options', at, { min: 1, max: 5 }, (item, there) => checkOption(form, item, there, true));
};

const choices =
  (max: number): Check =>
  (form, fields, at) => {
    form.keys(
      fields,
      ['type', 'action_id', 'options', 'initial_options', 'initial_option', 'confirm', 'focus_on_load'],
      at,
    );
    form.list(fields, 'options', at, { min: 1, max }, (item, there) => checkOption(form, item, there, false));
  };

/** What is chosen to begin with has to be, to the letter, one of the options. */
const chosen: Check = (form, fields, at) => {
  const options = new Set(Array.isArray(fields.options) ? fields.options.map((one) => JSON.stringify(one)) : []);
  const initial = Array.isArray(fields.initial_options) ? fields.initial_options : [];
  for (const one of fields.initial_option === undefined ? initial : [fields.initial_option]) {
    if (!options.has(JSON.stringify(one))) form.fail('initial option is none of the options', at);
  }
};

const menu: Check = (form, fields, at) => {
  placeholder(form, fields, at);
  if (fields.options !== undefined) chosen(form, fields, at);
  if (fields.type !== 'static_select' && fields.type !== 'multi_static_select') return;
  if (fields.option_groups === undefined) {
    form.list(fields, 'options', at, { min: 1, max: 100 }, (item, there) => checkOption(form, item, there, false));
    return;
  }
  form.list(fields, 'option_groups', at, { min: 1, max: 100 }, (item, there) => {
    const group = form.object(item, there);
    if (group === undefined) return;
    form.text(group, 'label', there, { max: 75, plain: true });
    form.list(group, 'options', there, { min: 1, max: 100 }, (option, where) =>
      checkOption(form, option, where, false),
    );
  });
};

const typed: Check = (form, fields, at) => {
  const own = {
    plain_text_input: ['multiline', 'min_length', 'max_length'],
    number_input: ['is_decimal_allowed', 'min_value', 'max_value'],
  }[String(fields.type)];
  form.keys(
    fields,
    ['type', 'action_id', 'placeholder', 'initial_value', 'dispatch_action_config', 'focus_on_load', ...(own ?? [])],
    at,
  );
  placeholder(form, fields, at);
  form.boolean(fields, 'multiline', at);
  form.boolean(fields, 'focus_on_load', at);
  if (fields.type === 'plain_text_input') {
    form.integer(fields, 'min_length', at, 0, 3000);
    form.integer(fields, 'max_length', at, 1, 3000);
    form.string(fields, 'initial_value', at, { min: 0, max: 3000, optional: true });
  }
  if (fields.type === 'number_input' && fields.is_decimal_allowed === undefined) {
    form.fail('missing required field: is_decimal_allowed', at);
  }
};

const image: Check = (form, fields, at) => {
  form.keys(fields, ['type', 'image_url', 'slack_file', 'alt_text'], at);
  form.string(fields, 'alt_text', at, { max: 2000 });
  if (fields.slack_file === undefined) form.url(fields, 'image_url', at);
};

function checkFor(type: string): Check {
  if (type === 'button') return button;
  if (type === 'overflow') return overflow;
  if (type === 'image') return image;
  if (type === 'checkboxes' || type === 'radio_buttons') return choices(10);
  if (TYPED.includes(type)) return typed;
  return menu;
}

export function checkElement(form: Form, value: unknown, allowed: ReadonlySet<string>, at: string): void {
  const fields = form.object(value, at);
  if (fields === undefined) return;
  const type = String(fields.type);
  if (!allowed.has(type)) {
    form.fail(`unsupported type: ${type.slice(0, 60)}`, `${at}/type`);
    return;
  }
  common(form, fields, at);
  checkFor(type)(form, fields, at);
}

function checkOption(form: Form, value: unknown, at: string, inOverflow: boolean): void {
  const fields = form.object(value, at);
  if (fields === undefined) return;
  form.keys(fields, ['text', 'value', 'description', ...(inOverflow ? ['url'] : [])], at);
  form.text(fields, 'text', at, { max: 75, plain: inOverflow });
  form.string(fields, 'value', at, { max: 75 });
  form.text(fields, 'description', at, { max: 75, optional: true });
  if (fields.url !== undefined) form.url(fields, 'url', at);
}

function checkConfirm(form: Form, value: unknown, at: string): void {
  const fields = form.object(value, at);
  if (fields === undefined) return;
  form.keys(fields, ['title', 'text', 'confirm', 'deny', 'style'], at);
  form.text(fields, 'title', at, { max: 100, plain: true });
  form.text(fields, 'text', at, { max: 300 });
  form.text(fields, 'confirm', at, { max: 30, plain: true });
  form.text(fields, 'deny', at, { max: 30, plain: true });
  form.oneOf(fields, 'style', ['primary', 'danger'], at);
}
