/** YAML text to plain values: bounded, one document, no duplicate keys, no tags. Knows no keys of ours. */
import { LineCounter, parseDocument } from 'yaml';

const MAX_TEXT = 8 << 20; // 10,000 rules take about 3 MB
const MAX_ALIASES = 100; // anchors are a convenience; an exponential tree of them is not

/** @throws Error with every mistake of the text, one a line, each with line and column. */
export function parseYaml(text: string): unknown {
  if (text.length > MAX_TEXT) throw new Error(`longer than ${MAX_TEXT >> 20} MB`);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false, merge: false });
  const mistakes = [...document.errors, ...document.warnings].map((mistake) => {
    const { line, col } = lines.linePos(mistake.pos[0]);
    return `line ${line}, column ${col}: ${mistake.message}`;
  });
  if (mistakes.length > 0) throw new Error(mistakes.join('\n'));
  return document.toJS({ maxAliasCount: MAX_ALIASES });
}
