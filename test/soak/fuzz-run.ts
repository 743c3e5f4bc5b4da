/** One fuzz run of one kind: until the count or the time is up, with a line now and then, and the least of what failed. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

export type Report = {
  readonly messages: number;
  readonly ms: number;
  /** Growth of the heap between the first fifth and the end, bytes, after a collection each. */
  readonly grown: number;
};

export type Budget = { readonly messages: number; readonly seconds: number | undefined; readonly quiet?: boolean };

/**
 * Call `step` until the budget is spent; it answers how many messages it used.
 * @throws what `step` throws
 */
export async function spend(name: string, budget: Budget, step: () => number | Promise<number>): Promise<Report> {
  const from = performance.now();
  const until = budget.seconds === undefined ? Number.POSITIVE_INFINITY : from + budget.seconds * 1000;
  let messages = 0;
  let said = from;
  let early: number | undefined;
  while (messages < budget.messages && performance.now() < until) {
    const answer = step();
    messages += typeof answer === 'number' ? answer : await answer;
    const now = performance.now();
    early ??= messages * 5 > budget.messages || now > from + (until - from) / 5 ? heapBytes() : undefined;
    if (budget.quiet || now - said < 5_000) continue;
    said = now;
    console.log(line(name, messages, now - from));
  }
  const ms = performance.now() - from;
  if (!budget.quiet) console.log(line(name, messages, ms));
  const end = heapBytes();
  return { messages, ms, grown: end - (early ?? end) };
}

const line = (name: string, messages: number, ms: number): string => {
  const rate = Math.round(messages / (ms / 1000));
  const rss = Math.round(process.memoryUsage.rss() / (1 << 20));
  return `${name.padEnd(9)} ${messages.toLocaleString('en')} messages, ${rate.toLocaleString('en')} a second, ${rss} MB`;
};

/** Heap in use and buffers outside of it, after a full collection. */
export function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
