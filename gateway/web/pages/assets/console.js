// Small enhancements of pages that are whole without them: local times, hops between holds, playing, following.
const $ = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

const local = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const localTimes = (root) => {
  for (const time of all('time[datetime]', root)) {
    const at = Date.parse(time.dateTime);
    if (!Number.isNaN(at)) time.title = `${local.format(at)}, your time`;
  }
};
localTimes(document);

const operations = $('#operations');

// Hops between held operations of this page; beyond it the server knows.
const hops = (direction) => {
  const held = all('.op.was-held:not(.to-come)', operations);
  const line = 80; // below the head that stays
  const tops = held.map((one) => Math.round(one.getBoundingClientRect().top - line));
  const at = direction === 'next' ? tops.findIndex((top) => top > 4) : tops.findLastIndex((top) => top < -4);
  if (at >= 0) {
    held[at].tabIndex = -1;
    held[at].focus({ preventScroll: true });
    held[at].scrollIntoView({ block: 'start', behavior: 'smooth' });
    return;
  }
  $(direction === 'next' ? '[data-hop-on]' : '[data-hop-back]')?.click();
};
for (const button of all('button[data-hop]')) {
  button.hidden = false;
  button.addEventListener('click', () => hops(button.dataset.hop));
}

// Playing: everything that has a time is hidden until its time comes.
const player = $('.player');
if (player && operations) {
  player.hidden = false;
  const [button, speed, clock] = [$('[data-play]', player), $('[data-speed]', player), $('[data-clock]', player)];
  const section = player.closest('.timeline');
  const playhead = $('.playhead', section);
  const timed = () => all('[data-t]', operations).map((element) => ({ element, t: Number(element.dataset.t) }));
  const said = (ms) => {
    const s = Math.floor(ms / 1000);
    return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, '0')}.${Math.floor((ms % 1000) / 100)}`;
  };
  let events = [];
  let [from, until, at, shown] = [0, 0, 0, 0];
  let last;
  const begin = () => {
    events = timed().sort((a, b) => a.t - b.t);
    [from, until] = [events[0].t, events.at(-1).t];
    [at, shown] = [from, 0];
    for (const { element } of events) element.classList.add('to-come');
    section.classList.add('playing');
  };
  const end = () => {
    last = undefined;
    for (const { element } of events) element.classList.remove('to-come');
    section.classList.remove('playing');
    [events, at] = [[], 0];
    button.textContent = '▶ Play';
    button.setAttribute('aria-pressed', 'false');
    clock.textContent = '';
  };
  const step = (now) => {
    if (last === undefined) return;
    at += (now - last) * Number(speed.value);
    last = now;
    for (; shown < events.length && events[shown].t <= at; shown++) {
      const { element } = events[shown];
      element.classList.remove('to-come');
      element.classList.add('arrived');
      element.scrollIntoView({ block: 'nearest' });
    }
    clock.textContent = `${said(at)} / ${said(until)}`;
    const x = until > from ? Math.min(1, (at - from) / (until - from)) * 994 : 0;
    playhead?.setAttribute('transform', `translate(${x} 0)`);
    if (shown >= events.length) end();
    else requestAnimationFrame(step);
  };
  button.addEventListener('click', () => {
    if (last !== undefined) {
      last = undefined;
      button.textContent = '▶ Go on';
      button.setAttribute('aria-pressed', 'false');
      return;
    }
    if (events.length === 0) begin();
    button.textContent = '❚❚ Pause';
    button.setAttribute('aria-pressed', 'true');
    last = performance.now();
    requestAnimationFrame(step);
  });
}

// Following: the server draws what changed, as it draws a page.
const followed = $('[data-follow]');
if (followed && operations && 'EventSource' in window) {
  const words = followed.lastElementChild;
  const address = new URL(followed.dataset.follow, location.href);
  if (address.origin === location.origin) {
    const source = new EventSource(address);
    const over = (text) => {
      source.close();
      words.textContent = text;
      followed.firstElementChild.remove();
    };
    source.addEventListener('open', () => {
      words.textContent = 'Live: what it asks for appears here.';
    });
    source.addEventListener('error', () => {
      words.textContent =
        source.readyState === EventSource.CLOSED ? 'Not followed any more: load again.' : 'Connecting again …';
    });
    source.addEventListener('operation', ({ data }) => {
      const { id, html } = JSON.parse(data);
      const drawn = new DOMParser().parseFromString(html, 'text/html').body.firstElementChild;
      if (!drawn) return;
      localTimes(drawn);
      const before = document.getElementById(`op-${id}`);
      if (before) before.replaceWith(drawn);
      else {
        drawn.classList.add('arrived');
        const near = innerHeight + scrollY > document.body.scrollHeight - 160;
        operations.append(drawn);
        if (near) drawn.scrollIntoView({ block: 'end' });
      }
    });
    source.addEventListener('skipped', () => {
      words.textContent = 'Live: more happened than is shown; load again for all of it.';
    });
    source.addEventListener('ended', ({ data }) => over(`It has ended: ${JSON.parse(data).reason || 'in order'}.`));
    source.addEventListener('gone', () => over('You may not follow this any more: sign in again.'));
  }
}
