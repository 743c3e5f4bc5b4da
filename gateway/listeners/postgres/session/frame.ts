/** The session frame: settings a statement's meaning depends on, as the target last reported them. */
import type { Profile } from '../../../masking/profile.ts';
import type { InspectContext } from '../types.ts';

/** Settings that belong to it; the target's answer to SHOW, or its ParameterStatus, is the only source. */
const REPORTED = new Set([
  'search_path',
  'session_authorization',
  'default_transaction_read_only',
  'DateStyle', // these three: what a literal means
  'IntervalStyle',
  'TimeZone',
]);

export class SessionFrame {
  readonly #settings = new Map<string, string>();
  #text: string | undefined;
  #context: InspectContext | undefined;
  #searchPath: readonly string[] = [];
  readonly #user: string | undefined;
  /** Something ran that may have changed it: ask the target before the next verdict. */
  stale = false;

  readonly #profile: () => Profile | undefined;

  /** @param profile what is masked for the principal now */
  constructor(
    searchPath: string,
    parameters: ReadonlyMap<string, string>,
    profile: () => Profile | undefined = () => undefined,
  ) {
    this.#profile = profile;
    this.set('search_path', searchPath);
    this.set('role', 'none');
    this.#user = parameters.get('session_authorization');
    for (const [name, value] of parameters) this.reported(name, value);
  }

  /** A ParameterStatus; names that are no part of the frame are passed over. */
  reported(name: string, value: string): void {
    if (REPORTED.has(name)) this.set(name, value);
  }

  set(name: string, value: string): void {
    if (this.#settings.get(name) === value) return;
    this.#settings.set(name, value);
    this.#text = undefined;
    this.#context = undefined;
    if (name === 'search_path') this.#searchPath = splitSearchPath(value);
  }

  /** Empty, which is any: another role may look into other schemas, and `$user` is another one's. */
  get searchPath(): readonly string[] {
    const itself = this.#settings.get('role') === 'none' && this.#settings.get('session_authorization') === this.#user;
    return itself ? this.#searchPath : [];
  }

  /** What a text is inspected in; the same object until something of it changes. */
  get context(): InspectContext {
    const profile = this.#profile();
    if (!this.#context || this.#context.profile !== profile) {
      this.#context = contextOf(this.text, this.searchPath, profile);
    }
    return this.#context;
  }

  /** Canonical: the same settings give the same text. */
  get text(): string {
    this.#text ??= JSON.stringify([...this.#settings].sort(([a], [b]) => (a < b ? -1 : 1)));
    return this.#text;
  }
}

const MAX_CONTEXTS = 64; // sessions of one gateway share a few
const contexts = new Map<string, InspectContext>();

/** Thousands of sessions in the same frame share one object, and with it what inspectors keep for it. */
function contextOf(frame: string, searchPath: readonly string[], profile: Profile | undefined): InspectContext {
  const key = JSON.stringify([frame, searchPath, profile?.id]);
  let context = contexts.get(key);
  if (!context || context.profile !== profile) {
    if (contexts.size >= MAX_CONTEXTS) contexts.clear();
    context = { frame, searchPath, profile };
    contexts.set(key, context);
  }
  return context;
}

/** `"$user", public` → `['$user', 'public']`, as PostgreSQL's SplitIdentifierString reads it. */
export function splitSearchPath(value: string): readonly string[] {
  const names: string[] = [];
  let at = 0;
  while (at < value.length) {
    const char = value[at]!;
    if (char === ',' || char.trim() === '') {
      at++;
      continue;
    }
    let name = '';
    if (char === '"') {
      for (at++; at < value.length; at++) {
        if (value[at] !== '"') name += value[at];
        else if (value[at + 1] === '"') name += value[at++];
        else break;
      }
      at++;
    } else {
      for (; at < value.length && value[at] !== ',' && value[at]!.trim() !== ''; at++) name += value[at]!.toLowerCase();
    }
    names.push(name);
  }
  return names;
}
