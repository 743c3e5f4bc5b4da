/** One operation of a session, as its page shows it: what was asked, what was said, what came back. Pure. */
import { visible } from '../../../queue/review.ts';
import { counted } from '../../amount.ts';
import { untouched } from '../../holds/words.ts';
import { type Html, html, type Part, written } from './html.ts';
import { badge, time } from './layout.ts';
import { lasting, offset } from './text.ts';
import type { Cell, Ended, Held, Item, Said, Table } from './timeline.ts';

export type About = {
  readonly session: string;
  /** When the session began, epoch ms. */
  readonly startedAt: number;
  readonly names: ReadonlyMap<string, string>;
  /** It lasts: what has no end may still get one. */
  readonly live: boolean;
};

const idOf = (id: string): string => `op-${id.replace(/[^A-Za-z0-9-]/g, '')}`;

export function operation(item: Item, about: About): Html {
  const { held, verdict, outcome, t } = item;
  const end = held?.settled?.state;
  const label = verdict === 'hold' && end !== undefined ? badge(end, `held · ${end}`) : badge(verdict);
  const waiting = verdict === 'hold' && end === undefined;
  return html`<article class="op ${verdict === 'hold' ? 'was-held' : ''}" id="${idOf(item.id)}" data-t="${t}">
<header><a class="number" href="${`/sessions/${about.session}?op=${item.id}#${idOf(item.id)}`}" title="Link to this operation">${item.number}</a>
<h3>${item.headline}</h3>${waiting && !about.live ? badge('other', 'held · never decided') : label}
<span class="at">${time(about.startedAt + t, offset(t))}</span></header>
${statement(item)}
${item.rules.length > 0 || item.why !== '' ? rules(item) : ''}
${item.before.map((one) => hold(one, about))}
${item.by.map((one) => html`<p class="rules">${one}</p>`)}
${held ? hold(held, about) : ''}
${item.said.map((one) => said(one))}
${item.saidMore > 0 ? html`<p class="more">… and ${counted(item.saidMore, 'more message')}: they are in the download.</p>` : ''}
${item.tables.map((one) => table(one, outcome?.rows))}
${item.copied.length > 0 ? copied(item) : ''}
${item.cutAfter === undefined ? '' : html`<p class="more">Recorded up to here (after ${counted(item.cutAfter, 'row')}); the client got the rest, which was only counted.</p>`}
${outcome ? ended(outcome) : html`<p class="outcome pending">${pending(item, about)}</p>`}
</article>`;
}

function pending(item: Item, { live }: About): string {
  const { verdict, held } = item;
  if (verdict === 'deny' || verdict === 'refused') return untouched(item);
  if (held?.settled && held.settled.state !== 'approved') return untouched(item);
  if (live) return held && !held.settled ? 'Waiting for people …' : 'Running …';
  return held && held.released === undefined ? untouched(item) : 'No outcome is on record.';
}

function statement({ statement: text, parameters }: Item): Part {
  const { text: said, hides } = visible(text);
  const warned =
    hides.length === 0
      ? ''
      : html`<p class="notice warn">This statement hides something (${hides.join(', ')}): it is written out in ⟨…⟩ here.</p>`;
  const bound =
    parameters.length === 0
      ? ''
      : html`<ol class="parameters" aria-label="Parameters">${parameters.map((one, at) => html`<li><span>$${at + 1}</span> <code dir="auto">${one}</code></li>`)}</ol>`;
  return [text === '' ? '' : html`${warned}<pre class="sql" tabindex="0"><code>${written(said)}</code></pre>`, bound];
}

const rules = ({ rules: named, why }: Item): Html =>
  html`<p class="rules">${named.length > 0 ? html`<span class="label">Rules</span> ${named.map((rule) => html`<code>${rule}</code> `)}` : ''}${why === '' ? '' : html`<span>${why}</span>`}</p>`;

function hold(held: Held, { names, startedAt, live }: About): Html {
  const until = held.settled?.t;
  const waited = until === undefined ? undefined : lasting(until - held.t);
  const by = (held.settled?.by ?? []).map((user) => called(user, '', held, names)).join(', ');
  return html`<section class="hold" aria-label="Held">
<p class="waited"><svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true"><path d="M4 1h8v3.5L9 8l3 3.5V15H4v-3.5L7 8 4 4.5z"/></svg>${
    waited === undefined
      ? live
        ? html`<b>Held</b>, waiting since ${time(startedAt + held.t)}`
        : html`<b>Held</b>; how it ended is not on record`
      : html`<b>Held for ${waited}</b>`
  }</p>
<ol class="votes">${held.votes.map((vote) => {
    const name = called(vote.user, vote.name, held, names);
    const what = vote.decision === '' ? 'note' : vote.decision;
    return html`<li data-t="${vote.t}" class="${vote.counted ? what : 'void'}"><span class="at">${offset(vote.t)}</span> <span>${
      name === '' ? '' : html`<b>${name}</b> `
    }${voted(vote.decision, vote.counted)}${vote.remark === '' ? '' : ` (${vote.remark})`}${vote.why === '' ? '' : `: ${vote.why}`}${
      vote.reason === '' ? '' : html` <q dir="auto">${vote.reason}</q>`
    }</span></li>`;
  })}${
    held.settled
      ? html`<li data-t="${held.settled.t}" class="settled ${held.settled.state}"><span class="at">${offset(held.settled.t)}</span> <span><b>${
          held.settled.state
        }</b>${by === '' ? '' : ` by ${by}`}${held.settled.reason === '' ? '' : html` <q dir="auto">${held.settled.reason}</q>`}</span></li>`
      : ''
  }${
    held.released === undefined
      ? ''
      : html`<li data-t="${held.released}" class="released"><span class="at">${offset(held.released)}</span> <span>released to the target</span></li>`
  }</ol></section>`;
}

const called = (user: string, name: string, held: Held, names: ReadonlyMap<string, string>): string =>
  name || names.get(user) || held.votes.find((vote) => vote.user === user && vote.name !== '')?.name || user;

function voted(decision: string, valid: boolean): string {
  const not = valid ? '' : ', which did not count';
  switch (decision) {
    case 'approve':
      return `approved${not}`;
    case 'deny':
      return `denied${not}`;
    case 'undo':
      return `took the approval back${not}`;
    case 'break':
      return `broke the glass${not}`;
    case '':
      return valid ? 'decided' : 'Not counted';
    default:
      return `${decision}${not}`;
  }
}

const said = ({ t, severity, code, message, more }: Said): Html =>
  html`<p class="said ${/^(ERROR|FATAL|PANIC)$/.test(severity) ? 'error' : ''}" data-t="${t}"><b>${severity}</b>${code === '' || code === '00000' ? '' : html` <code>${code}</code>`} <span dir="auto">${message}</span>${more === '' ? '' : html`<span class="detail" dir="auto">${more}</span>`}</p>`;

function table({ columns, rows, recorded }: Table, all: number | undefined): Html {
  const width = Math.max(columns.length, ...rows.map((row) => row.length), 0);
  const more = recorded - rows.length;
  return html`<div class="result" tabindex="0" role="region" aria-label="Result"><table>
<thead><tr>${Array.from({ length: Math.min(width, 100) }, (_, at) => html`<th scope="col" dir="auto">${columns[at]?.name ?? ''}</th>`)}</tr></thead>
<tbody>${rows.map((row) => html`<tr>${row.map(cell)}</tr>`)}</tbody></table></div>
<p class="more">${more > 0 ? html`${counted(rows.length, 'row')} shown of ${counted(recorded, 'recorded row')}; the rest is in the download.` : all !== undefined && all > recorded ? '' : counted(recorded, 'row')}</p>`;
}

const cell = ({ text, hex, missing }: Cell): Html =>
  text === null
    ? html`<td class="null">NULL</td>`
    : html`<td><bdi>${hex ? html`<span class="hex">\\x</span>` : ''}${text}</bdi>${missing > 0 ? html`<span class="missing">… ${counted(missing, hex ? 'byte' : 'character')} more</span>` : ''}</td>`;

const copied = ({ copied: pieces, copies }: Item): Html =>
  html`<pre class="copied" tabindex="0" aria-label="Copied data"><code>${pieces.map(
    ({ text, missing }) =>
      html`${text ?? ''}${missing > 0 ? html`<span class="missing">… ${counted(missing, 'character')} more</span>\n` : ''}`,
  )}</code></pre>${copies > pieces.length ? html`<p class="more">${counted(copies - pieces.length, 'more piece')} of data in the download.</p>` : ''}`;

function ended({ kind, tag, rows, ms, code, words, masked, t }: Ended): Html {
  const done = kind === 'done';
  const what = done ? tag || 'done' : kind === 'failed' ? 'failed' : 'outcome unknown';
  return html`<p class="outcome ${done ? 'done' : kind === 'failed' ? 'failed' : 'unknown'}" data-t="${t}"><b>${what}</b>${
    code === '' ? '' : html` <code>${code}</code>`
  }${rows === undefined || /\d$/.test(tag) ? '' : ` · ${counted(rows, 'row')}`} · ${lasting(ms)}${
    masked.length === 0
      ? ''
      : html` · <span class="masked">${masked.map(([why, n]) => `${n.toLocaleString('en-US')} ${why}`).join(', ')} masked</span>`
  }${words === '' ? '' : html` <span class="words" dir="auto">${words}</span>`}</p>`;
}
