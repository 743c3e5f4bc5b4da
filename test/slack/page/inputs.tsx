/** What stands inside an input block. */
import { type ReactNode, useContext } from 'react';
import { Directory } from './directory.ts';
import { type Fields, textOf } from './model.ts';

interface Props {
  element: Fields;
  value: Fields;
  change: (value: Fields) => void;
}

export function InputElement({ element, value, change }: Props): ReactNode {
  const { people, channels } = useContext(Directory);
  const type = String(element.type);
  if (type === 'multi_users_select') {
    const users = Array.isArray(value.selected_users) ? (value.selected_users as string[]) : [];
    const toggle = (id: string): void =>
      change({ type, selected_users: users.includes(id) ? users.filter((one) => one !== id) : [...users, id] });
    return (
      <div className="choices">
        {[...people.values()].map(({ id, real_name }) => (
          <label key={id}>
            <input type="checkbox" checked={users.includes(id)} onChange={() => toggle(id)} />
            {real_name}
          </label>
        ))}
      </div>
    );
  }
  if (type === 'conversations_select') {
    const picked = String(value.selected_conversation ?? '');
    return (
      <select value={picked} onChange={(event) => change({ type, selected_conversation: event.target.value || null })}>
        <option value="">{textOf(element.placeholder) || 'Choose…'}</option>
        {[...channels].map(([id, name]) => (
          <option key={id} value={id}>
            #{name}
          </option>
        ))}
      </select>
    );
  }
  const options = Array.isArray(element.options) ? (element.options as Fields[]) : [];
  const chosen = String((value.selected_option as Fields | null)?.value ?? '');
  const choose = (picked: string): void =>
    change({ type, selected_option: options.find((one) => one.value === picked) ?? null });
  if (type === 'static_select') {
    return (
      <select value={chosen} onChange={(event) => choose(event.target.value)}>
        <option value="">{textOf(element.placeholder) || 'Choose…'}</option>
        {options.map((option) => (
          <option key={String(option.value)} value={String(option.value)}>
            {textOf(option.text)}
          </option>
        ))}
      </select>
    );
  }
  if (type === 'radio_buttons') {
    return (
      <div className="choices">
        {options.map((option) => (
          <label key={String(option.value)}>
            <input type="radio" checked={chosen === option.value} onChange={() => choose(String(option.value))} />
            {textOf(option.text)}
          </label>
        ))}
      </div>
    );
  }
  if (type === 'checkboxes' || type === 'multi_static_select') {
    const picked = Array.isArray(value.selected_options) ? (value.selected_options as Fields[]) : [];
    const has = (option: Fields): boolean => picked.some((one) => one.value === option.value);
    const toggle = (option: Fields): void =>
      change({
        type,
        selected_options: has(option) ? picked.filter((one) => one.value !== option.value) : [...picked, option],
      });
    return (
      <div className="choices">
        {options.map((option) => (
          <label key={String(option.value)}>
            <input type="checkbox" checked={has(option)} onChange={() => toggle(option)} />
            {textOf(option.text)}
          </label>
        ))}
      </div>
    );
  }
  const common = {
    value: String(value.value ?? ''),
    placeholder: textOf(element.placeholder),
    maxLength: typeof element.max_length === 'number' ? element.max_length : 3000,
  };
  if (element.multiline === true) {
    return <textarea rows={4} {...common} onChange={(event) => change({ type, value: event.target.value || null })} />;
  }
  const kind = { number_input: 'number', email_text_input: 'email', url_text_input: 'url' }[type] ?? 'text';
  return <input type={kind} {...common} onChange={(event) => change({ type, value: event.target.value || null })} />;
}
