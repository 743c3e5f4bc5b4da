/** Kinds of answers: what waits before its COMMIT, the gateway's own transactions, what is limited or stopped. */
import type { Reply, ReplyOf } from './replies.ts';

/** CommandComplete, or PortalSuspended, of what is confirmed first, or of what ends its transaction. */
export const mustBeConfirmed = (type: number, reply: Reply): reply is ReplyOf<'execute'> | ReplyOf<'query'> =>
  (type === 0x43 || type === 0x73) &&
  (reply.kind === 'execute' || reply.kind === 'query') &&
  (reply.run?.confirms === true || (reply.kind === 'query' && reply.stage !== undefined));
/** What fails at the COMMIT of the gateway's own transaction, or at its BEGIN, is the client's statement. */
export const saysWhy = (reply: Reply): boolean =>
  reply.kind === 'query' && (reply.stage === 'commit' || reply.stage === 'begin');
export const endsOwn = (reply: Reply): boolean =>
  reply.kind === 'query' && (reply.stage === 'commit' || reply.stage === 'rollback');

export const isLimited = (reply: Reply): boolean => reply.kind === 'execute' && reply.run?.permit.budget !== undefined;
export const isConfirming = (reply: Reply): boolean => reply.kind === 'execute' && reply.run?.confirms === true;
export const isStopped = (reply: Reply): boolean => 'stopped' in reply && reply.stopped !== undefined;
