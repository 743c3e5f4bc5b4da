/** A client that logs in, asks for one thing and waits: as little memory and time as a client can take. */
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import * as build from '../../gateway/listeners/postgres/builders.ts';

const PASSWORD_ASKED = 'R'.charCodeAt(0);
const READY = 'Z'.charCodeAt(0);
const NOTICE = 'N'.charCodeAt(0);
const ERROR = 'E'.charCodeAt(0);
const WAIT_MS = 60_000;

export type Place = {
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly tls: boolean;
};

/** Resolves when its statement is held. @throws Error with the refusal, or when nothing came within a minute */
export function hold(place: Place, statement: string): Promise<{ leave(): void }> {
  return new Promise((resolve, reject) => {
    const raw = connect({ port: place.port, host: '127.0.0.1', noDelay: true });
    const fail = (error: Error) => {
      clearTimeout(tooLong);
      raw.destroy();
      reject(error);
    };
    const tooLong = setTimeout(() => fail(new Error('a client was not held within a minute')), WAIT_MS);
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
      let asked = false;
      let held = false;
      socket.on('data', (chunk) => {
        if (held) return;
        if (chunk[0] === ERROR) return fail(new Error(chunk.toString('latin1')));
        if (!asked && chunk[0] === PASSWORD_ASKED && chunk[8] === 3) socket.write(build.password(place.password));
        else if (!asked && chunk.at(-6) === READY) {
          asked = true;
          socket.write(build.query(statement));
        } else if (asked && chunk[0] === NOTICE) {
          held = true;
          clearTimeout(tooLong);
          resolve({ leave: () => raw.destroy() });
        }
      });
    };
    raw.once('error', fail);
    raw.once('close', () => fail(new Error('the gateway hung up')));
    if (!place.tls) return start(raw);
    raw.write(build.sslRequest());
    raw.once('data', () => start(connectTls({ socket: raw, rejectUnauthorized: false })));
  });
}
