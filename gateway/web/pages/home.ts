/** `/`: what is going on. Pure. */
import { counted } from '../../amount.ts';
import type { SessionSummary } from '../../recordings/shape.ts';
import { verdictCharts } from './charts.ts';
import { holdList } from './holds.ts';
import { type Html, html } from './html.ts';
import { nothing, sponsorOf, time, who } from './layout.ts';
import type { Hour, LiveSession, WaitingHold } from './overview.ts';
import { lasting, moment } from './text.ts';

const MOST_SHOWN = 25;

export type Home = {
  readonly now: number;
  readonly gateway: string;
  readonly version: string;
  readonly live: readonly (LiveSession & { readonly summary?: SessionSummary | undefined })[];
  /** Undefined where they could not be read. */
  readonly holds: readonly WaitingHold[] | undefined;
  readonly gateways: readonly string[] | undefined;
  readonly troubles: Readonly<Record<string, string>>;
  readonly verdicts: { readonly since: number; readonly hours: readonly Hour[] };
  readonly names: ReadonlyMap<string, string>;
  readonly all: boolean;
};

export function home(of: Home): Html {
  const troubles = Object.entries(of.troubles);
  const { holds, gateways, live } = of;
  const young = of.now - of.verdicts.since < 24 * 3_600_000;
  return html`<div class="title"><h1>What is going on</h1><p class="as-of">As of ${time(of.now)}${of.all ? '' : ': your own sessions, and those of agents you answer for'}</p></div>
${troubles.map(([part, why]) => html`<p class="notice bad"><b>${part}</b> ${why}</p>`)}
<section class="tiles" aria-label="In numbers">
<a class="tile" href="/sessions?live=1"><b>${live.length.toLocaleString('en-US')}</b><span>live ${live.length === 1 ? 'session' : 'sessions'}</span></a>
<a class="tile ${holds && holds.length > 0 ? 'waiting' : ''}" href="/holds"><b>${holds ? holds.length.toLocaleString('en-US') : '?'}</b><span>${holds?.length === 1 ? 'hold waits' : 'holds wait'}</span></a>
<div class="tile ${troubles.length > 0 ? 'bad' : 'good'}"><b>${gateways ? gateways.length.toLocaleString('en-US') : '?'}</b><span>${gateways?.length === 1 ? 'gateway' : 'gateways'}${troubles.length > 0 ? `, ${counted(troubles.length, 'trouble')}` : ', all is well'}</span></div>
</section>
<section><div class="heading"><h2>Verdicts, last 24 hours</h2><p>As this gateway counted them${young ? html`, since it started ${time(of.verdicts.since)}` : ''}</p></div>
${verdictCharts(of.verdicts.hours)}</section>
<section><div class="heading"><h2>Open holds</h2><a href="/holds">All holds</a></div>
${
  holds === undefined
    ? html`<p class="notice warn">Redis does not say what waits now.</p>`
    : holds.length === 0
      ? nothing('Nothing waits for anybody.')
      : holdList(holds.slice(0, 5), of.now)
}</section>
<section><div class="heading"><h2>Live sessions</h2><a href="/sessions">All sessions</a></div>
${
  live.length === 0
    ? nothing('Nobody is connected.')
    : html`<ul class="cards">${live.slice(0, MOST_SHOWN).map(
        (one) => html`<li><a class="card" href="${`/sessions/${one.session}`}">
<span class="pulse" aria-hidden="true"></span>${who(one.name, one.kind)} <span class="on">on <b>${one.connection}</b></span>
<span class="last">${one.last ? html`${one.last.headline} · ${lasting(of.now - one.last.at)} ago` : one.summary ? counted(one.summary.operations, 'operation') : 'Nothing asked for yet'}</span>
<span class="meta">for ${lasting(of.now - one.startedAt)}${one.kind === 'agent' ? html` · sponsor ${sponsorOf(one.sponsor, of.names)}` : ''} · gateway ${one.gateway}</span></a></li>`,
      )}</ul>${live.length > MOST_SHOWN ? html`<p class="more"><a href="/sessions?live=1">… and ${counted(live.length - MOST_SHOWN, 'more')}</a></p>` : ''}`
}</section>
<section><h2>Gateways</h2>
${gateways === undefined ? html`<p class="notice warn">Redis does not say which gateways there are.</p>` : html`<ul class="gateways">${gateways.map((id) => html`<li><code>${id}</code>${id === of.gateway ? html` <span class="here">this one, version ${of.version}</span>` : ''}</li>`)}</ul>`}
<p class="more">Pages are of ${moment(of.now).slice(11)}: load again for what is now.</p></section>`;
}
