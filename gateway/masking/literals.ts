/** Fixed texts, all searched for at once (Aho and Corasick 1975), by bytes and with ASCII case folded. Pure. */

export type Automaton = {
  /** next[state * 256 + byte]; 0 is the start. */
  readonly next: Uint16Array;
  /** States from here on are events: a digit, an @, a byte beyond ASCII, or the end of one of the texts. */
  readonly eventful: number;
  readonly DIGIT: number;
  readonly AT: number;
  /** The texts that end in a state. */
  readonly found: readonly (readonly string[])[];
};

type Node = { readonly children: Map<number, number>; fail: number; readonly texts: string[] };

/**
 * Texts are lower-case ASCII; those with digits or an @ cannot be found where these are events of their own.
 * After DIGIT, AT and beyond ASCII the caller goes on from state 0.
 */
export function automaton(texts: readonly string[], events: { digits: boolean; at: boolean }): Automaton {
  const nodes: Node[] = [{ children: new Map(), fail: 0, texts: [] }];
  for (const text of texts) {
    let here = 0;
    for (const byte of Buffer.from(text)) {
      let child = nodes[here]?.children.get(byte);
      if (child === undefined) {
        child = nodes.push({ children: new Map(), fail: 0, texts: [] }) - 1;
        nodes[here]?.children.set(byte, child);
      }
      here = child;
    }
    nodes[here]?.texts.push(text);
  }
  const go = (from: number, byte: number): number => {
    for (let state = from; ; state = (nodes[state] as Node).fail) {
      const child = (nodes[state] as Node).children.get(byte);
      if (child !== undefined) return child;
      if (state === 0) return 0;
    }
  };
  const order: number[] = [0];
  for (let i = 0; i < order.length; i++) {
    const parent = order[i] as number;
    for (const [byte, child] of (nodes[parent] as Node).children) {
      const fail = parent === 0 ? 0 : go((nodes[parent] as Node).fail, byte);
      (nodes[child] as Node).fail = fail;
      (nodes[child] as Node).texts.push(...(nodes[fail] as Node).texts);
      order.push(child);
    }
  }
  // Quiet states first, so that one comparison tells whether anything is to be done.
  const quiet = order.filter((state) => nodes[state]?.texts.length === 0);
  const ending = order.filter((state) => nodes[state]?.texts.length !== 0);
  const eventful = quiet.length;
  const [DIGIT, AT, BEYOND] = [eventful, eventful + 1, eventful + 2];
  const numbers = new Map([...quiet, -1, -2, -3, ...ending].map((state, number) => [state, number]));
  const next = new Uint16Array((nodes.length + 3) * 256);
  for (const state of order) {
    const row = (numbers.get(state) as number) * 256;
    for (let byte = 0; byte < 256; byte++) {
      const folded = byte >= 65 && byte <= 90 ? byte + 32 : byte;
      if (byte >= 0x80) next[row + byte] = BEYOND;
      else if (events.digits && byte >= 48 && byte <= 57) next[row + byte] = DIGIT;
      else if (events.at && byte === 64) next[row + byte] = AT;
      else next[row + byte] = numbers.get(go(state, folded)) as number;
    }
  }
  return {
    next,
    eventful,
    DIGIT,
    AT,
    found: [...quiet.map(() => []), [], [], [], ...ending.map((s) => nodes[s]?.texts ?? [])],
  };
}
