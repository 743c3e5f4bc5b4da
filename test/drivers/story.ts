/** One client's program while it runs: what it said so far, line by line, and a word to it. Knows no scenario. */
import { type ChildProcess, spawn } from 'node:child_process';
import { z } from 'zod';

const seen = z.strictObject({
  class: z.string(),
  sqlstate: z.string().optional(),
  message: z.string(),
});
const line = z.union([
  z.strictObject({ notice: z.string() }),
  z.strictObject({
    step: z.string(),
    ms: z.number(),
    value: z.unknown().optional(),
    error: seen.optional(),
  }),
]);

export type Step = { readonly value?: unknown; readonly error?: z.infer<typeof seen>; readonly ms: number };

/** What a client's program is started with: `argv SCENARIO TABLE`, and DRIVER_URL in its environment. */
export type Program = { readonly argv: readonly string[]; readonly cwd: string; readonly env?: Record<string, string> };

export class Story {
  readonly notices: string[] = [];
  readonly steps = new Map<string, Step>();
  /** What it printed that was no line of the protocol: a stack, a compiler's word. */
  stray = '';
  readonly ended: Promise<number | null>;
  readonly #child: ChildProcess;

  constructor(program: Program, words: readonly string[], url: string) {
    const [command = '', ...args] = program.argv;
    this.#child = spawn(command, [...args, ...words], {
      cwd: program.cwd,
      env: { ...process.env, ...program.env, DRIVER_URL: url },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child.stdin?.on('error', () => {}); // it may have ended without waiting for a word
    let rest = '';
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const each of lines) this.#hear(each);
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stray = (this.stray + text).slice(-4_000);
    });
    this.ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('close', resolve);
    });
    this.ended.catch(() => {}); // told to whoever awaits it; a caller that failed earlier does not
  }

  say(word: string): void {
    this.#child.stdin?.write(`${word}\n`);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** The step's end as the program told it. Throws when it never came to it. */
  step(name: string): Step {
    const step = this.steps.get(name);
    if (!step) throw new Error(`the client never came to "${name}": ${JSON.stringify([...this.steps])} ${this.stray}`);
    return step;
  }

  #hear(text: string): void {
    let parsed: ReturnType<typeof line.safeParse> | undefined;
    try {
      parsed = line.safeParse(JSON.parse(text));
    } catch {
      // not of the protocol
    }
    if (!parsed?.success) this.stray = `${this.stray}${text}\n`.slice(-4_000);
    else if ('notice' in parsed.data) this.notices.push(parsed.data.notice);
    else this.steps.set(parsed.data.step, parsed.data);
  }
}
