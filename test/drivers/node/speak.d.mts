/** The shapes of speak.mjs, for the programs that are TypeScript. */
export const scenario: string;
export const table: string;
export const url: string;
export const del: string;
export function insert(id: number): string;
export function notice(text: string): void;
export function step(name: string, act: () => unknown): Promise<unknown>;
export function told(): Promise<string>;
