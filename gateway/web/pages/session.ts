/** `/sessions/<id>`: whose session, what it asked, who decided, what came back. Pure. */
import { counted } from '../../amount.ts';
import { goesOn, type SessionSummary } from '../../recordings/shape.ts';
import { strip } from './charts.ts';
import { type Html, html, type Part } from './html.ts';
import { badge, nothing, sponsorOf, time, who } from './layout.ts';
import { operation } from './operation.ts';
import { type PageOf, PER_PAGE } from './paging.ts';
import { lasting } from './text.ts';
import type { Filter } from './timeline.ts';

export type SessionOf = {
  readonly summary: SessionSummary;
  /** Undefined where it cannot be read: `why` says so. */
  readonly part: PageOf | undefined;
  readonly why?: string | undefined;
  readonly filter: Filter;
  readonly now: number;
  /** What comes can be shown as it comes. */
  readonly follows: boolean;
  readonly admin: boolean;
  readonly names: ReadonlyMap<string, string>;
};

const DIED = 'its gateway died: what it had recorded until then is here';

export function sessionPage(of: SessionOf): Html {
  const { summary, part } = of;
  const { session, name, principalKind, connection } = summary;
  const live = goesOn(summary);
  return html`<div class="title session-title"><p class="crumbs"><a href="/sessions">Sessions</a></p>
<h1>${who(name, principalKind)} on ${connection} ${live ? badge('live') : ''}</h1>
<p class="actions"><a class="button" href="${`/sessions/${session}.jsonl`}" download>JSON lines</a><a class="button" href="${`/sessions/${session}.csv`}" download>CSV</a>${
    live && of.admin ? html`<a class="button danger" href="${`/sessions/${session}/end`}">End session …</a>` : ''
  }</p></div>
${head(of)}
${of.why === undefined ? '' : html`<p class="notice bad">${of.why}</p>`}
${part ? timeline(of, part) : ''}`;
}

function head({ summary, part, names, now }: SessionOf): Html {
  const { environment, protocol, principalKind, startedAt, endedAt, reason, gateway, operations } = summary;
  const purpose = part?.head.principal.purpose;
  const peer = part?.head.peer;
  const facts: (readonly [string, Part])[] = [
    ['Who', html`<code>${summary.principal}</code>`],
    ...(principalKind === 'agent'
      ? [['Sponsor', html`${sponsorOf(summary.sponsor, names)}${purpose ? html` · ${purpose}` : ''}`] as const]
      : []),
    [
      'Through',
      html`${summary.connection} (${environment}, ${protocol}), gateway <code>${gateway}</code>${peer ? html`, from <code>${peer}</code>` : ''}`,
    ],
    [
      'When',
      html`${time(startedAt)}, ${goesOn(summary) ? html`<b class="live-word">live</b> for ${lasting(now - startedAt)}` : endedAt === undefined ? 'until its gateway died' : `for ${lasting(endedAt - startedAt)}`}`,
    ],
    ...(goesOn(summary) ? [] : [['How it ended', endedAt === undefined ? DIED : reason || 'in order'] as const]),
    [
      'Operations',
      html`${counted(operations, 'operation')}${summary.held > 0 ? html` ${badge('hold', `${summary.held} held`)}` : ''}${summary.denied > 0 ? html` ${badge('deny', `${summary.denied} denied`)}` : ''}${summary.failed > 0 ? html` ${badge('failed', `${summary.failed} failed`)}` : ''}`,
    ],
    ...(summary.relations.length > 0
      ? [
          [
            'Touched',
            html`${summary.relations.slice(0, 30).map((one) => html`<code>${one}</code> `)}${summary.relations.length > 30 || summary.moreRelations ? '…' : ''}`,
          ] as const,
        ]
      : []),
  ];
  return html`<dl class="facts head">${facts.map(([term, value]) => html`<div><dt>${term}</dt><dd>${value}</dd></div>`)}</dl>`;
}

function timeline(of: SessionOf, part: PageOf): Html {
  const { summary, filter, names } = of;
  const { session, startedAt } = summary;
  const live = goesOn(summary);
  const { items, page, more } = part;
  const filtered = (filter.text ?? '') !== '' || filter.held === true;
  const follows = of.follows && live && !more && !filtered;
  const at = (n: number) => `/sessions/${session}?${new URLSearchParams({ ...filterFields(filter), page: String(n) })}`;
  const held = items.filter(({ verdict }) => verdict === 'hold');
  const [firstItem, lastItem] = [items[0], items.at(-1)];
  const pages =
    page > 1 || more
      ? html`<nav class="pages" aria-label="Pages">${page > 1 ? html`<a href="${at(page - 1)}" rel="prev">Earlier</a>` : ''}<span>Operations ${(firstItem?.number ?? 0).toLocaleString('en-US')} to ${(lastItem?.number ?? 0).toLocaleString('en-US')}${filtered ? '' : ` of ${summary.operations.toLocaleString('en-US')}`}, ${PER_PAGE} a page</span>${more ? html`<a href="${at(page + 1)}" rel="next">Later</a>` : ''}</nav>`
      : '';
  const holdsHere =
    held.length > 0 || summary.held > 0
      ? html`<span class="hops" role="group" aria-label="Holds"><button type="button" data-hop="previous" hidden>↑ Previous hold</button><button type="button" data-hop="next" hidden>↓ Next hold</button>${
          lastItem && more
            ? html`<a class="button" data-hop-on href="${`/sessions/${session}?hold=next&from=${held.at(-1)?.id ?? lastItem.id}`}">Next hold after this page</a>`
            : ''
        }${firstItem && page > 1 ? html`<a class="button" data-hop-back href="${`/sessions/${session}?hold=previous&from=${held[0]?.id ?? firstItem.id}`}">Hold before this page</a>` : ''}</span>`
      : '';
  return html`<section class="timeline">
<div class="bar"><form method="get" action="${`/sessions/${session}`}" role="search" class="filter"><label><span class="unseen">Filter operations</span><input type="search" name="q" value="${filter.text ?? ''}" placeholder="Filter operations" autocomplete="off" spellcheck="false"></label>
<label class="check">${filter.held ? html`<input type="checkbox" name="held" value="1" checked>` : html`<input type="checkbox" name="held" value="1">`}<span>Held only</span></label><button>Filter</button>${filtered ? html`<a class="quiet" href="${`/sessions/${session}`}">Show all</a>` : ''}</form>
${holdsHere}
${items.length === 0 ? '' : html`<span class="player" role="group" aria-label="Play" hidden><button type="button" data-play aria-pressed="false">▶ Play</button><label><span class="unseen">Speed</span><select data-speed><option value="1">1×</option><option value="2">2×</option><option value="8" selected>8×</option><option value="32">32×</option></select></label><output data-clock></output></span>`}
</div>
${items.length > 1 ? strip(items, session) : ''}
${pages}
${follows ? html`<p class="following" data-follow="${`/sessions/${session}/live?after=${part.lines}`}" role="status"><span class="pulse" aria-hidden="true"></span><span>Live. Load again for what came since.</span></p>` : ''}
<div id="operations">${items.map((item) => operation(item, { session, startedAt, names, live }))}</div>
${items.length === 0 ? nothing(filtered ? 'No operation fits.' : live ? 'Nothing was asked for yet.' : 'Nothing was asked for.') : ''}
${pages}</section>`;
}

const filterFields = ({ text, held }: Filter): Record<string, string> => ({
  ...(text ? { q: text } : {}),
  ...(held ? { held: '1' } : {}),
});

export type Ending = {
  readonly summary: SessionSummary;
  readonly csrf: string;
  /** Why it was not ended, where it was tried. */
  readonly objection?: string | undefined;
};

/** Asked before a session is ended. */
export const endPage = ({
  summary,
  csrf,
  objection,
}: Ending): Html => html`<div class="title"><p class="crumbs"><a href="/sessions">Sessions</a> / <a href="${`/sessions/${summary.session}`}">${summary.name} on ${summary.connection}</a></p><h1>End this session?</h1></div>
${objection === undefined ? '' : html`<p class="notice bad">${objection}</p>`}
<p>It ends at once, with whatever it waits for. Its client is told that an admin ended it, and why.</p>
<form class="ending" method="post" action="${`/sessions/${summary.session}/end`}"><input type="hidden" name="csrf" value="${csrf}">
<label><span>Reason</span><input type="text" name="reason" required maxlength="300" autocomplete="off"></label>
<p class="actions"><button class="danger">End the session of ${summary.name}</button><a class="button" href="${`/sessions/${summary.session}`}">Leave it</a></p></form>`;
