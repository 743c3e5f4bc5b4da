/** What every page has around it: head, navigation, who is signed in. Pure. */
import type { Viewer } from '../../recordings/shape.ts';
import { type Html, html, type Part } from './html.ts';
import { moment } from './text.ts';

export type Around = {
  readonly viewer: Viewer;
  /** Groups of which it is not known now whether the viewer is in them. */
  readonly unread: readonly string[];
  readonly assets: { readonly css: string; readonly js: string };
};

const PLACES = [
  ['/', 'Overview'],
  ['/sessions', 'Sessions'],
  ['/holds', 'Holds'],
  ['/rules', 'Rules'],
  ['/audit', 'Audit'],
] as const;

/** A whole page. `at`: which of the navigation's places it belongs to. */
export function page(around: Around, at: string, title: string, body: Part): string {
  const { viewer, unread, assets } = around;
  const places = PLACES.filter(([path]) => path !== '/audit' || viewer.admin);
  const role = viewer.admin ? 'admin' : viewer.approver ? 'approver' : '';
  const whole = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} · Countersign</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${assets.css}">
<script type="module" src="${assets.js}"></script></head>
<body>
<a class="skip" href="#main">Skip to content</a>
<header class="top"><div class="wide">
<a class="mark" href="/"><svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true"><path class="seal" d="M12 1.5 21 5v7c0 5.2-3.8 8.9-9 10.5C6.8 20.9 3 17.2 3 12V5z"/><path class="tick" d="m7.5 12 3.2 3.2L16.8 9"/></svg><span>Countersign</span></a>
<nav aria-label="Main">${places.map(([path, name]) =>
    path === at ? html`<a href="${path}" aria-current="page">${name}</a>` : html`<a href="${path}">${name}</a>`,
  )}</nav>
<a class="me" href="/me"><span class="name">${viewer.name}</span>${role === '' ? '' : html` <span class="role">${role}</span>`}</a>
</div></header>
<main id="main" class="wide">
${
  unread.length > 0
    ? html`<p class="notice warn">Who is in ${unread.join(', ')} could not be read from Slack now: you may be entitled to see more than this. Try again in a moment.</p>`
    : ''
}
${body}
</main>
</body></html>
`;
  return whole.toString();
}

/** `<time>` with the moment in UTC; the browser adds the reader's own time. */
export const time = (at: number, words: string = moment(at)): Html =>
  html`<time datetime="${Number.isFinite(at) && Math.abs(at) < 8.64e15 ? new Date(at).toISOString() : ''}">${words}</time>`;

const VERDICTS: Readonly<Record<string, string>> = {
  allow: 'allowed',
  hold: 'held',
  deny: 'denied',
  refused: 'refused',
};

/** A verdict, or how a hold ended, as a small label whose colour says no more than its word. */
export const badge = (kind: string, words: string = VERDICTS[kind] ?? kind): Html =>
  html`<span class="badge ${/^[a-z-]+$/.test(kind) ? kind : 'other'}">${words}</span>`;

/** `report-bot` with what it is. */
export const who = (name: string, kind: string): Html =>
  html`<span class="who"><b>${name}</b> <span class="kind">${kind === 'human' ? 'person' : kind}</span></span>`;

/** Who answers for an agent: by name, where that is known. */
export const sponsorOf = (sponsor: string | undefined, names: ReadonlyMap<string, string>): Part =>
  sponsor === undefined ? 'nobody' : (names.get(sponsor) ?? sponsor);

export const nothing = (words: string): Html => html`<p class="nothing">${words}</p>`;
