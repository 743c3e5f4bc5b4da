/** What is fetched from an issuer: bounded in time and size, never redirected. */

const MAX_ANSWER_BYTES = 1 << 20;

type Request = {
  readonly method?: string | undefined;
  readonly headers?: Headers | Record<string, string> | undefined;
  readonly body?: RequestInit['body'];
  readonly signal?: AbortSignal | undefined;
};

/** The answer, whatever its status, with its whole body at hand. @throws Error naming the URL and what went wrong */
export async function boundedFetch(url: string, init: Request, timeoutMs: number): Promise<Response> {
  const timeout = AbortSignal.timeout(timeoutMs);
  const { method = 'GET', headers = { accept: 'application/json' }, body, signal } = init;
  const response = await fetch(url, {
    method,
    headers,
    ...(body === undefined || body === null ? {} : { body }),
    redirect: 'error',
    signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
  });
  const text = await boundedText(response);
  const bodiless = response.status === 204 || response.status === 205 || response.status === 304;
  return new Response(bodiless ? null : text, { status: response.status, headers: response.headers });
}

async function boundedText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) throw new Error(`the answer is longer than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
}
