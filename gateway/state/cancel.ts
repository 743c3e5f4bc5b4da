/** Passes a client's CancelRequest on to whichever gateway owns the session; a late one would hit some later statement. */
import { z } from 'zod';
import { type ChannelDeps, openChannel } from './heard.ts';

const schema = z.strictObject({
  v: z.literal(1),
  id: z.string().max(64),
  at: z.number(),
  pid: z.number().int(),
  secret: z.string().regex(/^(?:[0-9a-f]{2}){1,256}$/),
});

export type CancelRelay = {
  /** To all gateways; the owner acts. Never rejects: a cancel that is lost is a cancel that does nothing. */
  forward(pid: number, secret: Buffer): Promise<void>;
  stop(): void;
};

export function createCancelRelay(
  deps: ChannelDeps & {
    /** Of the key's owner: see the listener's CancelKeys. */
    readonly handleOwn: (pid: number, secret: Buffer) => Promise<unknown>;
  },
): CancelRelay {
  const { handleOwn, log } = deps;
  const channel = openChannel(deps, {
    name: 'countersign:cancel',
    noun: 'cancel request',
    schema,
    heard: ({ pid, secret }) => {
      handleOwn(pid, Buffer.from(secret, 'hex')).catch((error) =>
        log('a forwarded cancel request failed', { error: String(error) }),
      );
    },
  });
  return {
    forward: (pid, secret) =>
      channel.say({ pid, secret: secret.toString('hex') }).then(
        () => {},
        (error) => log('a cancel request could not be passed on', { error: String(error) }),
      ),
    stop: channel.stop,
  };
}
