/** A client that logs in: as little memory and time as a client can take. */
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import * as build from '../../gateway/listeners/postgres/builders.ts';

const PASSWORD_ASKED = 'R'.charCodeAt(0);
const READY = 'Z'.charCodeAt(0);
const ERROR = 'E'.charCodeAt(0);
const WAIT_MS = 60_000;

export type Place = {
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly tls: boolean;
};

/** Resolves with a socket upon which a session is idle. @throws Error with the refusal, or when it took longer than a minute */
export function enter(place: Place): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const raw = connect({ port: place.port, host: '127.0.0.1', noDelay: true });
    const fail = (error: Error) => {
      clearTimeout(tooLong);
      raw.destroy();
      reject(error);
    };
    const tooLong = setTimeout(() => fail(new Error('a client was not let in within a minute')), WAIT_MS);
    const left = () => fail(new Error('the gateway hung up'));
    const start = (socket: Socket) => {
      socket.on('error', fail);
      socket.write(
        build.startup(
          new Map([
            ['user', place.user],
            ['database', place.database],
          ]),
        ),
      );
      socket.on('data', function heard(chunk: Buffer) {
        if (chunk[0] === ERROR) return fail(new Error(chunk.toString('latin1')));
        if (chunk[0] === PASSWORD_ASKED && chunk[8] === 3) socket.write(build.password(place.password));
        else if (chunk.at(-6) === READY) {
          clearTimeout(tooLong);
          socket.off('data', heard).off('error', fail);
          raw.off('close', left);
          socket.on('error', () => {}); // 'close' follows
          resolve(socket);
        }
      });
    };
    raw.once('error', fail);
    raw.once('close', left);
    if (!place.tls) return start(raw);
    raw.write(build.sslRequest());
    raw.once('data', () => start(connectTls({ socket: raw, rejectUnauthorized: false })));
  });
}
