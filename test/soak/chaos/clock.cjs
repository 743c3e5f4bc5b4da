/** Preloaded into gateways and bots: the wall clock jumps by what a file says, ms; the monotonic clock does not. */
const { readFileSync } = require('node:fs');

const LOOK_MS = 20;
const file =
  process.env[
    /gateway\/cli\.js gateway/.test(process.argv.slice(1, 3).join(' ')) ? 'CHAOS_GATEWAY_CLOCK' : 'CHAOS_BOT_CLOCK'
  ];
const now = Date.now.bind(Date);
const monotonic = performance.now.bind(performance);
let jump = 0;
let lookedAt = Number.NEGATIVE_INFINITY;

function jumped() {
  if (monotonic() - lookedAt > LOOK_MS) {
    lookedAt = monotonic();
    try {
      jump = Number(readFileSync(file, 'utf8')) || 0;
    } catch {
      jump = 0;
    }
  }
  return now() + jump;
}

globalThis.Date = class extends Date {
  constructor(...parts) {
    super(...(parts.length === 0 ? [jumped()] : parts));
  }
  static now() {
    return jumped();
  }
};
