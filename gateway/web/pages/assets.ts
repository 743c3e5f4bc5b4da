/** The pages' style and script: read once, served under a name that changes with their bytes. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

const KINDS = [
  ['console.css', 'text/css; charset=utf-8'],
  ['console.js', 'text/javascript; charset=utf-8'],
] as const;

export type Asset = { readonly path: string; readonly type: string; readonly body: Buffer };

/** @throws Error where the installation lacks them */
export function loadAssets(): { readonly css: Asset; readonly js: Asset } {
  const [css, js] = KINDS.map(([file, type]): Asset => {
    const body = readFileSync(new URL(`./assets/${file}`, import.meta.url));
    const hash = createHash('sha256').update(body).digest('hex').slice(0, 16);
    return { path: `/assets/${file.replace('.', `-${hash}.`)}`, type, body };
  }) as [Asset, Asset];
  return { css, js };
}
