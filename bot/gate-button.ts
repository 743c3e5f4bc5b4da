/** Buttons that say a `/gate` line, as if whoever presses them had typed it. Pure. */
import type { types } from '@slack/bolt';
import { cut, oneLine } from './text.ts';

/** A `/gate` line, said when it is pressed. */
export const GATE_ACTION = /^gate\.\d{1,2}$/;

export type Said = {
  readonly label: string;
  readonly line: string;
  readonly confirm?: string | undefined;
  readonly danger?: boolean | undefined;
};

/** A button that says a `/gate` line; `at` tells it from others of its block. */
export function gateButton({ label, line, confirm, danger }: Said, at: number): types.Button {
  return {
    type: 'button',
    action_id: `gate.${at}`,
    text: { type: 'plain_text', text: oneLine(label, 40) || 'Go on', emoji: false },
    value: cut(line, 2_000) || 'help',
    accessibility_label: cut(`${oneLine(label, 30)}: /gate ${oneLine(line, 40)}`, 75),
    ...(danger ? { style: 'danger' as const } : {}),
    ...(confirm === undefined ? {} : { confirm: dialog(label, confirm, danger === true) }),
  };
}

const dialog = (label: string, text: string, danger: boolean): types.ConfirmationDialog => ({
  title: { type: 'plain_text', text: cut(`${oneLine(label, 90) || 'Go on'}?`, 100), emoji: false },
  text: { type: 'plain_text', text: oneLine(text, 300) || 'Are you sure?', emoji: false },
  confirm: { type: 'plain_text', text: oneLine(label, 30) || 'Go on', emoji: false },
  deny: { type: 'plain_text', text: 'Leave it', emoji: false },
  ...(danger ? { style: 'danger' as const } : {}),
});
