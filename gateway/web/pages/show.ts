/** Pages as answers to whoever is signed in, with the frame and the look that all of them have. */
import type { FastifyReply } from 'fastify';
import { assets } from './assets.ts';
import { type Html, html, type Part } from './html.ts';
import { type Around, page } from './layout.ts';

export type Reader = Pick<Around, 'viewer' | 'unread'>;

/** `at`: which of the navigation's places it belongs to. */
export function show(reply: FastifyReply, { viewer, unread }: Reader, at: string, title: string, body: Html) {
  const { css, js } = assets();
  const around = { viewer, unread, assets: { css: css.path, js: js.path } };
  return reply.type('text/html; charset=utf-8').send(page(around, at, title, body));
}

/** Instead of what was asked for: a paragraph for each of `words`. */
export const sorry = (reply: FastifyReply, who: Reader, status: number, title: string, ...words: readonly Part[]) =>
  show(
    reply.code(status),
    who,
    '',
    title,
    html`<div class="title"><h1>${title}</h1></div>${words.map((one) => html`<p>${one}</p>`)}`,
  );
