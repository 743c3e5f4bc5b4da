/** The thread that reads long texts, as source text: runs the same from TypeScript and compiled, without loaders. */

/**
 * Expects `workerData.grammar`, the absolute path of a libpg-query package. Says `{ ready }` once, then answers each
 * `{ id, text }` with `{ id, stmts }`, `{ id, syntax, position }` or `{ id, broken }`.
 */
export const PARSER_WORKER = `
  'use strict';
  const { parentPort, workerData } = require('node:worker_threads');
  const grammar = require(workerData.grammar);
  grammar.loadModule().then(() => {
    parentPort.on('message', ({ id, text }) => {
      try {
        parentPort.postMessage({ id, stmts: grammar.parseSync(text).stmts ?? [] });
      } catch (fault) {
        if (fault && fault.name === 'SqlError') {
          parentPort.postMessage({ id, syntax: fault.message, position: fault.sqlDetails?.cursorPosition });
        } else {
          parentPort.postMessage({ id, broken: 'it broke the parser' });
        }
      }
    });
    parentPort.postMessage({ ready: true });
  });
`;
