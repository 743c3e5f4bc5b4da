/** What is found out while a statement is followed: reasons to ask, conditions, relations touched, texts to hide. */
import type { Profile } from '../../../masking/profile.ts';
import type { Tree } from '../inspect/parser.ts';
import { isTree } from '../inspect/tree.ts';
import type { Plan, PredicateUse } from './plan.ts';
import type { Value } from './value.ts';

const MAX_PREDICATES = 500; // written down; what comes after is held anyway
const MAX_HOLDS = 20; // reasons one statement gives; nobody reads more
/** Branches of one statement that each tell a piece: a whole value is read out in a few dozen. */
const MAX_PATTERNS = 4;
/** Whole values tried one by one in one statement: so many read a short number out. An IN list is one. */
const MAX_EQUALITIES = 100;

export type Mark = {
  readonly [part in 'predicates' | 'holds' | 'literals' | 'parameters' | 'patterns' | 'equalities']: number;
};

export class Ledger {
  readonly #mode: Profile['predicates'];
  readonly #touches = new Set<string>();
  readonly #holds: string[] = [];
  readonly #predicates: PredicateUse[] = [];
  readonly #literals: number[] = [];
  readonly #parameters: number[] = [];
  /** Terms, not columns: one term over a whole row is one question. */
  #patterns = 0;
  #equalities = 0;
  #opaque = false;

  constructor(mode: Profile['predicates']) {
    this.#mode = mode;
  }

  touch(relation: string): void {
    this.#touches.add(relation);
  }

  get touched(): boolean {
    return this.#touches.size > 0;
  }

  get used(): boolean {
    return this.#predicates.length > 0;
  }

  hold(reason: string): void {
    this.#holds.push(reason);
  }

  /** Code ran that nobody knows, or something was not understood: what it says in errors is anybody's guess. */
  opaque(): void {
    this.#opaque = true;
  }

  /** A condition on something masked. */
  use(value: Value, kind: PredicateUse['kind']): void {
    if (kind === 'pattern') this.#patterns++;
    if (kind === 'equality') this.#equalities++;
    const names = value.of.length > 0 ? value.of.map((column) => column.name) : ['a value nobody can trace'];
    for (const column of names) {
      if (this.#predicates.length < MAX_PREDICATES) this.#predicates.push({ column, kind });
      this.#judge(column, kind);
    }
  }

  #judge(column: string, kind: PredicateUse['kind']): void {
    if (kind === 'relational')
      this.hold(`compares ${column} with values of other columns or rows, which can read it out`);
    else if (this.#mode === 'hold') this.hold(`uses ${column} in a condition`);
    else if (this.#mode === 'equality-only' && kind === 'order') this.hold(`sorts by ${column}`);
    else if (this.#mode === 'equality-only' && kind === 'pattern') this.hold(`tests parts of ${column}`);
  }

  /** Constants and parameters below this node stand beside something masked. */
  hide(node: unknown): void {
    if (Array.isArray(node)) for (const item of node) this.hide(item);
    if (!isTree(node)) return;
    const constant: Tree | undefined = isTree(node.A_Const) ? node.A_Const : undefined;
    if (constant) {
      if (typeof constant.location === 'number' && constant.location >= 0) this.#literals.push(constant.location);
      return;
    }
    const parameter: Tree | undefined = isTree(node.ParamRef) ? node.ParamRef : undefined;
    if (parameter) this.#parameters.push(Number(parameter.number ?? 0));
    else for (const field of Object.keys(node)) this.hide(node[field]);
  }

  mark(): Mark {
    return {
      predicates: this.#predicates.length,
      holds: this.#holds.length,
      literals: this.#literals.length,
      parameters: this.#parameters.length,
      patterns: this.#patterns,
      equalities: this.#equalities,
    };
  }

  /** What was written since is looked at again. Touched stays touched. */
  rewind(mark: Mark): void {
    this.#predicates.length = mark.predicates;
    this.#holds.length = mark.holds;
    this.#literals.length = mark.literals;
    this.#parameters.length = mark.parameters;
    this.#patterns = mark.patterns;
    this.#equalities = mark.equalities;
  }

  plan(outputs: Plan['outputs']): Plan {
    const holds = new Set(this.#holds);
    if (this.#mode === 'audit' && this.#patterns > MAX_PATTERNS) {
      holds.add(`tests masked columns in ${this.#patterns} ways at once: so many answers can spell a value out`);
    }
    if (this.#equalities > MAX_EQUALITIES) {
      holds.add(`compares masked columns ${this.#equalities} times in one statement: so many guesses can find a value`);
    }
    return {
      outputs,
      touches: [...this.#touches],
      holds: [...holds].slice(0, MAX_HOLDS),
      predicates: this.#predicates,
      scrub: this.#opaque || this.#touches.size > 0,
      hiddenLiterals: [...new Set(this.#literals)],
      hiddenParameters: [...new Set(this.#parameters)],
    };
  }
}
