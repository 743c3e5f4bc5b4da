/** Values that nobody else has: what stands in the masked columns of the lab, made from a salt. */
import { createHash } from 'node:crypto';

export type CanaryKind = 'card' | 'ssn' | 'email' | 'number';

export type Canary = {
  /** `users.card#1`: which table, column and row it stands in. */
  readonly where: string;
  readonly value: string;
  /** What is looked for: lower-case letters and digits alone; of an e-mail address what stands before the `@`. */
  readonly core: string;
};

/** Makes the lab's values and remembers them. Another salt gives another set for the same places. */
export class Canaries {
  readonly all: Canary[] = [];
  readonly #salt: string;

  constructor(salt: string) {
    this.#salt = salt;
  }

  make(kind: CanaryKind, where: string): string {
    const digits = numbersFrom(`${this.#salt}:${where}`);
    const value = MAKE[kind](digits);
    const core = (kind === 'email' ? value.slice(0, value.indexOf('@')) : value).replace(/[^0-9a-z]/g, '');
    this.all.push({ where, value, core });
    return value;
  }
}

const MAKE: Record<CanaryKind, (next: (below: number) => number) => string> = {
  card: (next) => {
    const body = `4${run(14, () => next(10))}`;
    return body + luhnDigit(body);
  },
  ssn: (next) => `${100 + next(566)}-${10 + next(90)}-${1000 + next(9000)}`,
  email: (next) => `${run(10, () => 'abcdefghjkmnpqrstuvwxyz23456789'[next(31)]!)}@mail.example`,
  number: (next) => `4${run(15, () => next(10))}`, // below 2^53: a float8 still carries all of it
};

const run = (count: number, make: () => number | string): string => Array.from({ length: count }, make).join('');

function numbersFrom(seed: string): (below: number) => number {
  const pool = createHash('sha512').update(seed).digest();
  let at = 0;
  return (below) => {
    const value = pool.readUInt16BE((at * 2) % pool.length);
    at++;
    return value % below;
  };
}

function luhnDigit(body: string): number {
  const sum = [...body].reduce((total, digit, at) => {
    const value = Number(digit) * (at % 2 === 0 ? 2 : 1);
    return total + (value > 9 ? value - 9 : value);
  }, 0);
  return (10 - (sum % 10)) % 10;
}
