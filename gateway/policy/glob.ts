/** Names with `*` in them, compiled once. No regular expression: the cost never explodes, whatever the text. */

export const MAX_STARS = 8; // each costs one scan of the text; nobody needs more
export const MAX_PATTERN = 400; // issuer and subject together

export type Glob = {
  readonly pattern: string;
  /** The whole text, where the pattern has no star. */
  readonly exact: boolean;
  /** Matches everything, the empty text too. */
  readonly everything: boolean;
  matches(text: string): boolean;
};

/** `*` stands for any run of characters, none included; everything else for itself, case included. */
export function glob(pattern: string): Glob {
  const parts = pattern.split('*');
  const [head = ''] = parts;
  if (parts.length === 1) return { pattern, exact: true, everything: false, matches: (text) => text === pattern };
  const tail = parts.at(-1) ?? '';
  const middle = parts.slice(1, -1).filter((part) => part !== '');
  const shortest = head.length + tail.length;
  const everything = shortest === 0 && middle.length === 0;
  return {
    pattern,
    exact: false,
    everything,
    matches: (text) => {
      if (everything) return true;
      if (text.length < shortest || !text.startsWith(head) || !text.endsWith(tail)) return false;
      const end = text.length - tail.length;
      let at = head.length;
      // Leftmost match of each part in turn leaves the most room for the rest: no backtracking is ever needed.
      for (const part of middle) {
        const found = text.indexOf(part, at);
        if (found === -1 || found + part.length > end) return false;
        at = found + part.length;
      }
      return true;
    },
  };
}
