/** SQL text to PostgreSQL's own parse tree, in the grammar of the server's release. Survives what kills a parser. */
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import { GatewayError } from '../../../errors.ts';
import { PARSER_WORKER } from './parser-worker.ts';

/** A node as libpg-query prints it: `{ SelectStmt: { … } }` or, where the field fixes the type, the bare fields. */
export type Tree = { readonly [field: string]: unknown };
export type ParsedStatement = { readonly stmt: Tree; readonly stmt_location?: number; readonly stmt_len?: number };

const INLINE_BYTES = 8 * 1024; // no nesting that fits in here has been seen to end in anything but a SqlError
const WORKER_STACK_MB = 16; // deeper stacks turn more of the hostile texts into ordinary syntax errors
const START_MS = 10_000; // a thread on a loaded machine; its own deadline, so that a slow start refuses nobody's text
const GRAMMARS: ReadonlyMap<number, string> = new Map([
  [13, 'libpg-query-15'],
  [14, 'libpg-query-15'],
  [15, 'libpg-query-15'],
  [16, 'libpg-query-16'],
  [17, 'libpg-query-17'],
  [18, 'libpg-query'],
]);

type Grammar = { loadModule(): Promise<void>; parseSync(text: string): { stmts?: ParsedStatement[] } };
type Answer = { readonly id: number } & (
  | { readonly stmts: ParsedStatement[] }
  | { readonly syntax: string; readonly position: number | undefined }
  | { readonly broken: string }
);

/**
 * The package that holds the grammar of this server release; 13 and 14 are read with 15's.
 * @throws GatewayError CONFIG for a release whose grammar is not at hand
 */
function grammarFor(serverMajor: number): string {
  const name = GRAMMARS.get(serverMajor);
  if (name) return name;
  throw new GatewayError('CONFIG', `PostgreSQL ${serverMajor} is not supported: its grammar is not at hand`, {
    hint: 'Supported are PostgreSQL 13 to 18. What cannot be read exactly as the server reads it cannot be judged.',
  });
}

/** Refuse what the parser would read differently from the server: NUL cuts the text, lone surrogates change it. */
function checkEncoding(text: string): void {
  if (text.includes('\0')) throw new GatewayError('UNPARSEABLE', 'The statement contains a NUL character');
  if (/\p{Surrogate}/u.test(text)) throw new GatewayError('UNPARSEABLE', 'The statement is not valid Unicode');
}

export class Parser {
  readonly #grammar: string;
  readonly #deadlineMs: number;
  readonly #require = createRequire(import.meta.url);
  #inline: Grammar | undefined;
  #loading: Promise<void> | undefined;
  #worker: { readonly thread: Worker; readonly ready: Promise<boolean> } | undefined;
  #nextId = 1;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  /** One text at a time goes to the worker, so that a deadline is about the text that broke it. */
  #queue: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor({ serverMajor, deadlineMs }: { serverMajor: number; deadlineMs: number }) {
    this.#grammar = grammarFor(serverMajor);
    this.#deadlineMs = deadlineMs;
  }

  /**
   * Every statement of the text, in order; offsets count UTF-8 bytes. Synchronous for short texts once loaded.
   * @throws GatewayError UNPARSEABLE (also as rejection)
   */
  parse(text: string): readonly ParsedStatement[] | Promise<readonly ParsedStatement[]> {
    checkEncoding(text);
    if (Buffer.byteLength(text) > INLINE_BYTES) return this.#inWorker(text);
    if (this.#inline) return this.#here(this.#inline, text);
    return this.#load().then((grammar) => this.#here(grammar, text));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#endWorker('the gateway is stopping');
  }

  async #load(): Promise<Grammar> {
    this.#loading ??= (async () => {
      const entry = this.#require.resolve(this.#grammar);
      for (const path of Object.keys(this.#require.cache)) {
        if (path.startsWith(entry.slice(0, entry.lastIndexOf('/') + 1))) delete this.#require.cache[path];
      }
      const grammar = this.#require(entry) as Grammar;
      await grammar.loadModule();
      this.#inline = grammar;
    })()
      .catch((cause: unknown) => {
        throw new GatewayError('UNPARSEABLE', `The statement was refused: ${this.#grammar} cannot be loaded`, {
          hint: 'The gateway’s installation is damaged: its operator has to install its packages again.',
          cause, // names paths, which are no client's business
        });
      })
      .finally(() => {
        this.#loading = undefined;
      });
    await this.#loading;
    if (!this.#inline) throw unreadable('the parser is being replaced; send the statement again');
    return this.#inline;
  }

  #here(grammar: Grammar, text: string): readonly ParsedStatement[] {
    if (text === '') return [];
    try {
      return grammar.parseSync(text).stmts ?? [];
    } catch (thrown) {
      if (isSyntaxError(thrown)) throw syntaxError(thrown.message, thrown.sqlDetails?.cursorPosition);
      if (this.#inline === grammar) this.#inline = undefined; // what trapped once is not trusted again
      throw unreadable('it broke the parser');
    }
  }

  #inWorker(text: string): Promise<readonly ParsedStatement[]> {
    const turn = this.#queue.then(async () => {
      if (this.#closed) throw new GatewayError('SHUTDOWN', 'The gateway is stopping');
      const worker = this.#startWorker();
      if (!(await worker.ready)) throw unreadable('the parser could not be started');
      const id = this.#nextId++;
      const answer = await new Promise<Answer>((resolve) => {
        const timer = setTimeout(() => resolve({ id, broken: 'it took too long to parse' }), this.#deadlineMs);
        this.#waiting.set(id, (found) => {
          clearTimeout(timer);
          resolve(found);
        });
        worker.thread.postMessage({ id, text });
      });
      this.#waiting.delete(id);
      if ('stmts' in answer) return answer.stmts;
      if ('syntax' in answer) throw syntaxError(answer.syntax, answer.position);
      await this.#endWorker(answer.broken);
      throw unreadable(answer.broken);
    });
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  #startWorker(): { readonly thread: Worker; readonly ready: Promise<boolean> } {
    if (this.#worker) return this.#worker;
    const thread = new Worker(PARSER_WORKER, {
      eval: true,
      execArgv: [],
      env: {},
      workerData: { grammar: this.#require.resolve(this.#grammar) },
      resourceLimits: { stackSizeMb: WORKER_STACK_MB },
    });
    const ready = new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), START_MS);
      const settle = (started: boolean) => {
        clearTimeout(timer);
        resolve(started);
      };
      thread.once('message', () => settle(true)); // its first word is that the grammar is loaded
      thread.once('exit', () => settle(false));
    });
    const fail = () => {
      if (this.#worker?.thread === thread) this.#worker = undefined;
      for (const [id, settle] of this.#waiting) settle({ id, broken: 'it broke the parser' });
    };
    thread.on('message', (answer: Answer) => this.#waiting.get(answer.id)?.(answer));
    // A tree that the thread could write, and this one cannot read: its stack is the smaller.
    thread.on('messageerror', () => {
      for (const [id, settle] of this.#waiting) settle({ id, broken: 'it is nested too deeply' });
    });
    thread.on('error', fail);
    thread.on('exit', fail);
    thread.unref();
    this.#worker = { thread, ready };
    return this.#worker;
  }

  async #endWorker(reason: string): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    for (const [id, settle] of this.#waiting) settle({ id, broken: reason });
    await worker?.thread.terminate();
  }
}

type SyntaxFault = Error & { sqlDetails?: { cursorPosition?: number } };

/** The one kind of failure after which the instance is still sound. */
function isSyntaxError(thrown: unknown): thrown is SyntaxFault {
  return thrown instanceof Error && thrown.name === 'SqlError';
}

function syntaxError(message: string, position: number | undefined): GatewayError {
  const where = position === undefined ? '' : ` (at byte ${position})`;
  return new GatewayError('UNPARSEABLE', `${message}${where}`, {
    hint: 'The gateway reads SQL with the grammar of the target’s release and refuses what does not parse.',
  });
}

function unreadable(reason: string): GatewayError {
  return new GatewayError('UNPARSEABLE', `The statement was refused: ${reason}`, {
    hint: 'Very deep or very long statements cannot be judged; split it into smaller ones.',
  });
}
