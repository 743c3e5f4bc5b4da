import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { madeOfExpression, madeOfView } from './made.ts';
import { TreeError, TreeText } from './treenodes.ts';

/** The node that the text is: its type, the fields of these names, and which of all hold nodes or lists. */
const nodeOf = (text: string, ...names: string[]) => {
  const tree = new TreeText(text);
  const node = tree.node(tree.slice(0));
  const fields = Object.fromEntries(names.map((name) => [name, tree.word(node.field(name))]));
  return { type: node.type, ...fields, nested: node.nested().map(({ name }) => name) };
};

describe('the text of a stored expression', () => {
  it('fields: words, nodes, lists, constants’ bytes, escapes', () => {
    assert.deepEqual(
      nodeOf(
        '{CONST :a 1 :b {VAR :varno 2} :c (o 1 2) :constvalue 4 [ 1 0 -1 0 ] :d <> :e a\\ \\{b\\) :f "" :g ("x\\(" "y") :h (b)}',
        ...['a', 'b', 'c', 'constvalue', 'd', 'e', 'f', 'g', 'h'],
      ),
      {
        type: 'CONST',
        a: '1',
        b: '{VAR :varno 2}',
        c: '(o 1 2)',
        constvalue: '4',
        d: '<>',
        e: 'a\\ \\{b\\)',
        f: '""',
        g: '("x\\(" "y")',
        h: '(b)',
        nested: ['b', 'c', 'g', 'h'],
      },
    );
  });

  it('a name that looks like a field is a name', () => {
    assert.deepEqual(nodeOf('{TARGETENTRY :resname :resorigtbl :resorigtbl 7}', 'resname', 'resorigtbl'), {
      type: 'TARGETENTRY',
      resname: ':resorigtbl',
      resorigtbl: '7',
      nested: [],
    });
    assert.throws(() => nodeOf('{TARGETENTRY :resname :resorigtbl}', 'resorigtbl'), TreeError);
  });

  it('what is cut short, bent or too deep is refused, not read', () => {
    for (const text of [
      '{A :b (1 2}',
      '{A :b',
      '{A :b 1',
      ')',
      '{A b 1}',
      '{A :b}',
      `${'('.repeat(2_000)}${')'.repeat(2_000)}`,
    ]) {
      assert.throws(() => nodeOf(text), TreeError, text.slice(0, 20));
    }
  });

  it('nobody can say what a tree that cannot be read is made of', () => {
    const runs = { allHarmless: true, harmless: () => true, reveals: new Map() };
    for (const text of ['', '<>', '({QUERY})', '({QUERY :commandType 1 :rtable <> :targetList ({X', '{VAR :varno 1}']) {
      assert.equal(madeOfView(text, runs), undefined);
      assert.deepEqual(madeOfExpression(text, 1, runs), { kind: 'opaque' });
    }
  });

  it('takes time in proportion to its length', () => {
    const long = `(${'{A :b (1 2 {C :d \\}\\ x}) } '.repeat(100_000)})`;
    const from = performance.now();
    const tree = new TreeText(long);
    assert.equal(tree.list(tree.slice(0)).length, 100_000);
    assert.ok(performance.now() - from < 5_000);
  });
});
