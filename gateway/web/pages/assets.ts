/** The pages' style and script: read once, served under a name that changes with their bytes. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

const STYLES = ['base.css', 'parts.css', 'session.css', 'narrow.css']; // later ones go before

type Asset = { readonly path: string; readonly type: string; readonly body: Buffer };

type Assets = { readonly css: Asset; readonly js: Asset };
let loaded: Assets | undefined;

/** @throws Error where the installation lacks them */
export function assets(): Assets {
  loaded ??= load();
  return loaded;
}

function load(): Assets {
  const read = (file: string) => readFileSync(new URL(`./assets/${file}`, import.meta.url));
  const asset = (name: string, kind: string, type: string, body: Buffer): Asset => {
    const hash = createHash('sha256').update(body).digest('hex').slice(0, 16);
    return { path: `/assets/${name}-${hash}.${kind}`, type: `${type}; charset=utf-8`, body };
  };
  return {
    css: asset('console', 'css', 'text/css', Buffer.concat(STYLES.map(read))),
    js: asset('console', 'js', 'text/javascript', read('console.js')),
  };
}
