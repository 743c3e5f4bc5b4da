/** `/audit`: how the trail stands, for admins. Pure. */
import { counted } from '../../amount.ts';
import { type Html, html } from './html.ts';
import { nothing } from './layout.ts';
import type { TrailState } from './overview.ts';

export const trailPage = (
  { trouble, dir, heads, chains, moreChains }: TrailState,
  recordings: string,
): Html => html`<div class="title"><h1>Audit trail</h1><p class="as-of">Every verdict, vote, release and outcome, each line tied to the one before.</p></div>
${trouble === undefined ? html`<p class="notice good">The trail is being written, and nothing passes that it does not hold.</p>` : html`<p class="notice bad">${trouble}. Nothing is let through until it can be written again.</p>`}
<section><div class="heading"><h2>Heads</h2><p>How far each chain had come. Keep one elsewhere, and a tail that is cut later shows.</p></div>
${
  heads.length === 0
    ? nothing('No gateway has published a head.')
    : html`<div class="result" tabindex="0" role="region" aria-label="Heads"><table><thead><tr><th scope="col">Gateway</th><th scope="col">Entry</th><th scope="col">Hash</th><th scope="col">As of</th></tr></thead><tbody>${heads.map(
        (head) =>
          html`<tr><td><code>${head.gateway}</code>${head.here ? ' (this one)' : ''}</td><td class="figure">${head.seq.toLocaleString('en-US')}</td><td><code class="hash">${head.hash}</code></td><td>${head.at ?? 'now'}</td></tr>`,
      )}</tbody></table></div>`
}</section>
<section><div class="heading"><h2>Chains on this disk</h2><p><code>${dir}</code></p></div>
<ul class="gateways">${chains.map((chain) => html`<li><code>${chain.chain}</code> <span class="meta">${counted(chain.files, 'file')}, the last is <code>${chain.last}</code></span></li>`)}</ul>
${moreChains > 0 ? html`<p class="more">… and ${counted(moreChains, 'older chain')}.</p>` : ''}</section>
<section><h2>Verify it yourself</h2>
<p>On a copy, offline, with the public half of the audit key. It names the first line that does not fit, and checks recordings against what the trail sealed of them:</p>
<pre class="sql" tabindex="0"><code>countersign audit verify ${dir} --key ed25519:…</code></pre>
<p class="more">${recordings}</p></section>`;
