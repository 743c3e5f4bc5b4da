/** The web listener as configured; undefined where `listen.web` is left out. */
import type { Config } from '../config.ts';
import { createWeb, type Web, type WebOptions } from '../web/server.ts';

export function createWebDoor({
  config,
  ...rest
}: Omit<WebOptions, 'host' | 'port' | 'tls'> & { readonly config: () => Config }): Web | undefined {
  const { listen, tls } = config();
  if (!listen.web) return undefined;
  return createWeb({ ...listen.web, ...rest, tls: tls && { cert: tls.cert, key: tls.key.reveal() } });
}
