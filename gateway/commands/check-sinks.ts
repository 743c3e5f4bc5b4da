/** `countersign check`: do the receivers of `audit.sinks` answer, and are they who they should be? Sends them nothing. */
import { isIP, connect as plainConnect, type Socket } from 'node:net';
import { setTimeout as after } from 'node:timers/promises';
import { connect } from 'node:tls';
import type { Config } from '../config.ts';

type Sink = Config['audit']['sinks'][number];

const PATIENCE_MS = 5_000;
const REFUSED_WITHIN_MS = 300; // TLS 1.3: whether it likes the certificate that it was shown, it says afterwards

/** @throws Error where it does not answer, or its certificate does not verify */
export async function receiverTrial({ syslog, webhook }: Sink): Promise<string> {
  if (syslog) {
    const { host, port } = syslog.address;
    await reached({ host, port, ...syslog.tls, key: syslog.tls.key?.reveal() });
    return 'answers, and its certificate verifies; nothing was sent';
  }
  const url = new URL(webhook?.url.reveal() ?? '');
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const secure = url.protocol === 'https:';
  await reached({ host, port: Number(url.port || (secure ? 443 : 80)), ca: webhook?.tls?.ca, plain: !secure });
  return secure ? 'answers, and its certificate verifies; nothing was sent' : 'answers; nothing was sent';
}

async function reached(to: {
  readonly host: string;
  readonly port: number;
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly plain?: boolean;
}): Promise<void> {
  const { plain = false, host, port, ...tls } = to;
  const socket: Socket = plain
    ? plainConnect({ host, port })
    : connect({ host, port, ...tls, minVersion: 'TLSv1.2', ...(isIP(host) ? {} : { servername: host }) });
  let over: Error | undefined;
  const late = setTimeout(() => socket.destroy(new Error(`no answer within ${PATIENCE_MS} ms`)), PATIENCE_MS);
  socket.on('error', (error) => {
    over = error;
  });
  socket.resume();
  try {
    await new Promise<void>((resolve) => {
      socket.once(plain ? 'connect' : 'secureConnect', () => resolve());
      socket.once('close', () => resolve());
    });
    await after(REFUSED_WITHIN_MS);
    if (over) throw over;
    if (socket.destroyed) throw new Error('it closed the connection at once');
  } finally {
    clearTimeout(late);
    socket.destroy();
  }
}
