/** `/sessions`: the search for sessions, as a form that needs no script, and what it found. */
import { counted } from '../../amount.ts';
import { type Found, goesOn, type Search, type SessionSummary, type Verdict } from '../../recordings/shape.ts';
import { type Html, html } from './html.ts';
import { badge, nothing, sponsorOf, time, who } from './layout.ts';
import { lasting } from './text.ts';

const PER_PAGE = 50;
const MOST_WORD = 200;
const VERDICTS: readonly Verdict[] = ['allow', 'hold', 'deny', 'refused'];
const TEXTS = ['text', 'agent', 'connection', 'relation'] as const;

/** What was filled in, as it stands in the form; what could not be read is left out of the search and said. */
export type Asked = {
  readonly search: Search;
  readonly fields: Readonly<Record<string, string>>;
  readonly wrong: readonly string[];
};

/** `names`: what people are called, by Slack id; a sponsor may be asked for by either. */
export function askedFor(query: Readonly<Record<string, unknown>>, names: ReadonlyMap<string, string>): Asked {
  const given = (name: string): string => {
    const value = query[name];
    return typeof value === 'string' ? value.trim().slice(0, MOST_WORD) : '';
  };
  const fields: Record<string, string> = {};
  const wrong: string[] = [];
  const search: { -readonly [K in keyof Search]: Search[K] } = { limit: PER_PAGE };
  for (const name of TEXTS) {
    const value = given(name);
    if (value !== '') search[name] = fields[name] = value;
  }
  const sponsor = given('sponsor');
  if (sponsor !== '') {
    fields.sponsor = sponsor;
    search.sponsors = idsOf(sponsor, names);
  }
  const verdict = VERDICTS.find((one) => one === given('verdict'));
  if (verdict) search.verdict = verdict;
  fields.verdict = verdict ?? '';
  for (const [name, key] of [
    ['from', 'since'],
    ['to', 'until'],
  ] as const) {
    const value = given(name);
    if (value === '') continue;
    fields[name] = value;
    const at = Date.parse(
      /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?)?$/.test(value) ? `${value.padEnd(16, 'T00:00')}Z` : value,
    );
    if (!Number.isFinite(at)) wrong.push(`“${value}” is no time: write 2026-11-23 or 2026-11-23T14:00, in UTC`);
    else search[key] = at;
  }
  if (given('live') !== '') {
    search.live = true;
    fields.live = '1';
  }
  const [, startedAt, session] = /^(\d{1,15})~([A-Za-z0-9-]{1,64})$/.exec(given('after')) ?? [];
  if (startedAt !== undefined && session !== undefined) search.after = { startedAt: Number(startedAt), session };
  return { search, fields, wrong };
}

/** Whose Slack id that is, and all in whose names it occurs; case does not matter. */
function idsOf(idOrName: string, names: ReadonlyMap<string, string>): string[] {
  const part = idOrName.toLowerCase();
  const named = [...names].flatMap(([id, name]) => (name.toLowerCase().includes(part) ? [id] : []));
  return [idOrName.toUpperCase(), ...named];
}

const inQuery = (fields: Readonly<Record<string, string>>, more: Readonly<Record<string, string>>): string => {
  const filled = Object.entries({ ...fields, ...more }).filter(([, value]) => value !== '');
  return `/sessions?${new URLSearchParams(filled)}`;
};

export type Results = {
  readonly asked: Asked;
  readonly found: Found;
  readonly now: number;
  readonly all: boolean;
  readonly names: ReadonlyMap<string, string>;
};

export function sessionsPage({ asked: { search, fields, wrong }, found, now, all, names }: Results): Html {
  const { sessions, more } = found;
  const last = sessions.at(-1);
  const field = (name: string, label: string, hint = '') =>
    html`<label><span>${label}</span><input type="text" name="${name}" value="${fields[name] ?? ''}" placeholder="${hint}" autocomplete="off" spellcheck="false" maxlength="${MOST_WORD}"></label>`;
  const when = (name: string, label: string) =>
    html`<label><span>${label}</span><input type="datetime-local" name="${name}" value="${fields[name] ?? ''}"></label>`;
  const narrowed = Object.entries(fields).filter(([name, value]) => value !== '' && name !== 'text').length;
  return html`<div class="title"><h1>Sessions</h1><p class="as-of">${all ? 'Every session that was recorded' : 'Your own sessions, and those of agents you answer for'}, newest first.</p></div>
<form class="search" method="get" action="/sessions" role="search">
<div class="first"><label class="grow"><span class="unseen">Search</span><input type="search" name="text" value="${fields.text ?? ''}" placeholder="Name, connection or relation" autocomplete="off" spellcheck="false"></label><button class="primary">Search</button></div>
${narrowed > 0 ? html`<details open><summary>Filters <span class="count">${narrowed}</span></summary>${filters()}</details>` : html`<details><summary>Filters</summary>${filters()}</details>`}
</form>
${wrong.map((one) => html`<p class="notice warn">${one}</p>`)}
${sessions.length === 0 ? nothing(search.after ? 'There are no more.' : 'No session fits.') : list(sessions, now, names)}
<nav class="pages" aria-label="Pages">${search.after ? html`<a href="${inQuery(fields, {})}">Newest</a>` : ''}${
    more && last
      ? html`<a href="${inQuery(fields, { after: `${last.startedAt}~${last.session}` })}" rel="next">Older</a>`
      : ''
  }</nav>`;

  function filters(): Html {
    return html`<div class="fields">${field('agent', 'Agent or person')}${field('sponsor', 'Sponsor', 'name or Slack id')}${field('connection', 'Connection')}${field('relation', 'Relation', 'public.customers')}
<label><span>Verdict</span><select name="verdict"><option value="">any</option>${VERDICTS.map((one) =>
      one === fields.verdict
        ? html`<option value="${one}" selected>${one}</option>`
        : html`<option value="${one}">${one}</option>`,
    )}</select></label>
${when('from', 'Alive from (UTC)')}${when('to', 'until (UTC)')}
<label class="check">${fields.live ? html`<input type="checkbox" name="live" value="1" checked>` : html`<input type="checkbox" name="live" value="1">`}<span>Live only</span></label>
<a class="quiet" href="/sessions">Clear all</a></div>`;
  }
}

const list = (sessions: readonly SessionSummary[], now: number, names: ReadonlyMap<string, string>): Html =>
  html`<ul class="cards sessions">${sessions.map((one) => {
    const { session, name, principalKind, connection, startedAt, endedAt, operations, held, denied, failed } = one;
    const marks = [
      held > 0 ? badge('hold', `${held.toLocaleString('en-US')} held`) : '',
      denied > 0 ? badge('deny', `${denied.toLocaleString('en-US')} denied`) : '',
      failed > 0 ? badge('failed', `${failed.toLocaleString('en-US')} failed`) : '',
    ];
    const touched = one.relations.slice(0, 6);
    const others = one.relations.length - touched.length;
    return html`<li><a class="card" href="${`/sessions/${session}`}">
<span class="headline">${goesOn(one) ? html`<span class="pulse" aria-hidden="true"></span>` : ''}${who(name, principalKind)} <span class="on">on <b>${connection}</b></span> <span class="env">${one.environment}</span><span class="marks">${marks}</span></span>
<span class="last">${touched.length === 0 ? 'No relation touched' : touched.join(', ')}${others > 0 || one.moreRelations ? ' …' : ''}</span>
<span class="meta">${time(startedAt)} · ${goesOn(one) ? html`<b class="live-word">live</b>, ${lasting(now - startedAt)} so far` : endedAt === undefined ? 'until its gateway died' : lasting(endedAt - startedAt)} · ${counted(operations, 'operation')}${principalKind === 'agent' ? html` · sponsor ${sponsorOf(one.sponsor, names)}` : ''}</span></a></li>`;
  })}</ul>`;
