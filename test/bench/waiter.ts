/** A client that asks for one thing and waits. */
import * as build from '../../gateway/listeners/postgres/builders.ts';
import { enter, type Place } from './enter.ts';

const NOTICE = 'N'.charCodeAt(0);
const ERROR = 'E'.charCodeAt(0);
const WAIT_MS = 60_000;

/** Resolves when its statement is held. @throws Error with the refusal, or when nothing came within a minute */
export async function hold(place: Place, statement: string): Promise<{ leave(): void }> {
  const socket = await enter(place);
  return await new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      clearTimeout(tooLong);
      socket.destroy();
      reject(error);
    };
    const tooLong = setTimeout(() => fail(new Error('a client was not held within a minute')), WAIT_MS);
    const left = () => fail(new Error('the gateway hung up'));
    socket.once('close', left);
    socket.on('data', (chunk) => {
      if (chunk[0] === ERROR) return fail(new Error(chunk.toString('latin1')));
      if (chunk[0] !== NOTICE) return;
      clearTimeout(tooLong);
      socket.off('close', left).removeAllListeners('data').resume();
      resolve({ leave: () => socket.destroy() });
    });
    socket.write(build.query(statement));
  });
}
