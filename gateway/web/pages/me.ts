/** `/me`: who somebody is here, and the way out. Pure. */
import { principalKey } from '../../operation.ts';
import type { Viewer } from '../../recordings/shape.ts';
import { type Html, html, type Part } from './html.ts';
import { time } from './layout.ts';

export type Me = {
  readonly viewer: Viewer;
  readonly csrf: string;
  readonly endsAt: number;
};

export function mePage({ viewer, csrf, endsAt }: Me): Html {
  const roles = [...(viewer.admin ? ['admin'] : []), ...(viewer.approver ? ['approver'] : [])];
  const rows: readonly (readonly [string, Part])[] = [
    ['Signed in as', viewer.name],
    ['Known as', principalKey(viewer)],
    ['Slack', viewer.slack.join(', ') || 'no account is linked to you (identity.people)'],
    ['Roles', roles.join(', ') || 'none: you see your own sessions, and those of agents you answer for'],
    ['Until', time(endsAt)],
  ];
  return html`<div class="title"><h1>Who you are</h1></div>
<dl class="facts head">${rows.map(([term, text]) => html`<div><dt>${term}</dt><dd>${text}</dd></div>`)}</dl>
<form class="actions" method="post" action="/sign-out"><input type="hidden" name="csrf" value="${csrf}"><button>Sign out</button></form>`;
}
