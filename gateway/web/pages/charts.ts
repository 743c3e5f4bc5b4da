/** Small pictures of numbers: inline SVG, with the numbers beside them in words. Pure. */
import { counted } from '../../amount.ts';
import { type Html, html } from './html.ts';
import type { Hour } from './overview.ts';
import { offset } from './text.ts';
import type { Item } from './timeline.ts';

const KINDS = ['allow', 'hold', 'deny', 'refused'] as const;
const NAMES = { allow: 'allowed', hold: 'held', deny: 'denied', refused: 'refused' } as const;
const HEIGHT = 40;

/** One row of bars for each verdict: each has its own scale, for held ones are few where allowed ones are many. */
export function verdictCharts(hours: readonly Hour[]): Html {
  return html`<div class="charts">${KINDS.map((kind) => {
    const most = Math.max(1, ...hours.map((hour) => hour[kind]));
    const all = hours.reduce((sum, hour) => sum + hour[kind], 0);
    const words = `${counted(all, 'operation')} ${NAMES[kind]}, at most ${most.toLocaleString('en-US')} in an hour`;
    return html`<figure class="chart ${kind}"><figcaption><b>${all.toLocaleString('en-US')}</b> ${NAMES[kind]}</figcaption>
<svg viewBox="0 0 ${String(hours.length * 10)} ${String(HEIGHT + 1)}" preserveAspectRatio="none" role="img" aria-label="${all === 0 ? `No operation was ${NAMES[kind]}` : words}">
<path class="ground" d="M0 ${String(HEIGHT + 0.5)}H${String(hours.length * 10)}"/>
${hours.map((hour, at) => {
  const height = hour[kind] === 0 ? 0 : Math.max(2, Math.round((hour[kind] / most) * HEIGHT));
  const when = `${new Date(hour.at).toISOString().slice(11, 16)} UTC: ${hour[kind].toLocaleString('en-US')}`;
  return height === 0
    ? ''
    : html`<rect x="${at * 10 + 1}" y="${HEIGHT - height}" width="8" height="${height}" rx="1"><title>${when}</title></rect>`;
})}</svg></figure>`;
  })}</div>`;
}

const WIDTH = 1_000;

/** All operations of a page on one line, as far apart as they were; what was held is as wide as it waited. */
export function strip(items: readonly Item[], session: string): Html {
  const from = items[0]?.t ?? 0;
  const end = Math.max(from + 1, ...items.map((item) => item.outcome?.t ?? item.held?.settled?.t ?? item.t));
  const x = (t: number) => Math.round(((t - from) / (end - from)) * (WIDTH - 6) * 10) / 10;
  return html`<figure class="strip"><svg viewBox="0 0 ${String(WIDTH)} 34" preserveAspectRatio="none" role="group" aria-label="When what was asked">
<path class="ground" d="M0 17H${String(WIDTH)}"/>
${items.map((item) => {
  const until = item.held?.settled?.t ?? item.outcome?.t ?? item.t;
  const width = Math.max(item.held ? 6 : 3, x(until) - x(item.t));
  const kind = /^(allow|hold|deny|refused)$/.test(item.verdict) ? item.verdict : 'other';
  return html`<a href="${`/sessions/${session}?op=${item.id}#op-${item.id}`}" tabindex="-1"><rect class="${kind}" x="${x(item.t)}" y="${item.held ? 4 : 9}" width="${item.held ? width : 3}" height="${item.held ? 26 : 16}" rx="2"><title>${`${offset(item.t)} ${item.headline}`}</title></rect></a>`;
})}
<path class="playhead" d="M0 0V34"/></svg><figcaption><span>${offset(from)}</span><span>${offset(end)}</span></figcaption></figure>`;
}
