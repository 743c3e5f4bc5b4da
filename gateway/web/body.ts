/** What comes in the body of a request: JSON of one shape, and nothing else. Pure. */
import { z } from 'zod';
import { GatewayError } from '../errors.ts';

/** `what` names it to whoever sent it. @throws GatewayError CONFIG, which is answered as a bad request */
export function bodyIn<T>(body: unknown, schema: z.ZodType<T>, what: string): T {
  let raw: unknown;
  try {
    raw = JSON.parse(String(body));
  } catch {
    throw new GatewayError('CONFIG', 'the body is no JSON');
  }
  const parsed = schema.safeParse(raw);
  if (!parsed.success) throw new GatewayError('CONFIG', `${what} does not fit: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}
