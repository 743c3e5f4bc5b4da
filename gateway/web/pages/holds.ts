/** `/holds`: what waits for people. Pure. */
import { counted } from '../../amount.ts';
import { type Html, html } from './html.ts';
import { badge, nothing, time, who } from './layout.ts';
import type { WaitingHold } from './overview.ts';
import { lasting } from './text.ts';

export const holdList = (holds: readonly WaitingHold[], now: number): Html =>
  html`<ul class="cards">${holds.map(
    (
      hold,
    ) => html`<li class="card waiting-hold"><p class="headline">${badge('hold', `held ${lasting(now - hold.openedAt)}`)} <b>${hold.environment.toUpperCase()} · ${hold.connection}</b> ${hold.headline}</p>
<p>${who(hold.name, hold.kind)} <span class="meta">request <code>${hold.shortId}</code> · since ${time(hold.openedAt)} · until ${time(hold.expiresAt)} · gateway ${hold.gateway}</span></p>
<ul class="demands">${hold.demands.map(({ rule, quorum, counted: has }) => html`<li><code>${rule}</code> ${has} of ${counted(quorum, 'approval')}</li>`)}</ul>
<p class="links">${hold.link === undefined ? '' : html`<a href="${hold.link}" rel="noreferrer">Open its card in Slack</a>`}${hold.session === undefined ? '' : html`<a href="${`/sessions/${hold.session}`}">Its session</a>`}</p></li>`,
  )}</ul>`;

export const holdsPage = (holds: readonly WaitingHold[] | undefined, now: number, all: boolean): Html =>
  html`<div class="title"><h1>Open holds</h1><p class="as-of">As of ${time(now)}${all ? '' : ': your own requests, and those of agents you answer for'}. People decide in Slack, or with <code>countersign approve</code>.</p></div>
${holds === undefined ? html`<p class="notice bad">Redis does not say what waits now.</p>` : holds.length === 0 ? nothing('Nothing waits for anybody.') : holdList(holds, now)}`;
