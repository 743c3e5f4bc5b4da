/** 18 A target that lies, bombs or babbles: its own session ends or goes on, memory stays, every permit has its outcome. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';
import * as build from '../gateway/listeners/postgres/builders.ts';
import { parseServerMessage } from '../gateway/listeners/postgres/messages.ts';
import { connectUpstream } from '../gateway/listeners/postgres/upstream.ts';
import { type FakeTarget, fakeTarget, greeting } from './support/door.ts';
import { orders } from './support/listener.ts';
import { brief, type SessionWorld, sessionWorld } from './support/session.ts';

/** Answers what comes after its greeting. */
let answer: (socket: Socket, asked: Buffer) => void;
let target: FakeTarget;
let world: SessionWorld;
beforeEach(async () => {
  target = await fakeTarget((socket) => {
    socket.once('data', () => {
      socket.on('data', (asked) => answer(socket, asked));
      socket.write(greeting());
    });
  });
  world = await sessionWorld({ port: target.port, password: 'x' } as never, { limits: { lingerMs: 200 } });
});
afterEach(async () => {
  await world.close();
  await target.stop();
  assert.equal(world.gate.settledTwice, 0);
  assert.equal(world.gate.outcomes.length, world.gate.admitted.length, 'every permit has its outcome');
  assert.equal(world.registry.size, 0);
});

const message = (type: string, body: Buffer = Buffer.alloc(0)): Buffer => {
  const out = Buffer.alloc(5 + body.length, type);
  out.writeUInt32BE(4 + body.length, 1);
  body.copy(out, 5);
  return out;
};
const columns = message('T', Buffer.from(`\0\x01a\0${'\0'.repeat(18)}`, 'latin1'));

describe('18 a rogue target in the midst of a session', { timeout: 120_000 }, () => {
  it('a field of a gigabyte passes as it comes and takes no memory', async () => {
    const piece = Buffer.alloc(1 << 20, 'x');
    const pieces = 96;
    answer = (socket) => {
      const header = Buffer.from(`D\0\0\0\0\0\x01\0\0\0\0`, 'latin1');
      header.writeUInt32BE((1 << 30) + 10, 1);
      header.writeUInt32BE(1 << 30, 7);
      socket.write(Buffer.concat([columns, header]));
      let left = pieces;
      const more = (): void => {
        while (left-- > 0) if (!socket.write(piece)) return void socket.once('drain', more);
        socket.destroy(); // a tenth of what it promised
      };
      more();
    };
    const client = await world.raw();
    let got = 0;
    client.socket.removeAllListeners('data').on('data', (chunk: Buffer) => {
      got += chunk.length;
    });
    const rss = process.memoryUsage.rss();
    client.send(build.query('select a'));
    await client.end();
    assert.ok(got > 90 << 20, `${got} bytes came`);
    assert.ok(process.memoryUsage.rss() - rss < 160 << 20);
    assert.deepEqual(world.gate.ends(), ['unknown']);
  });

  it('notices for ever to a client that does not read: the target is not read either', async () => {
    const notice = build.noticeResponse({ severity: 'NOTICE', sqlstate: '00000', message: 'x'.repeat(60_000) });
    let sent = 0;
    let full: () => void;
    const stopped = new Promise<void>((resolve) => {
      full = resolve;
    });
    answer = (socket) => {
      let quiet: NodeJS.Timeout | undefined;
      const more = (): void => {
        clearTimeout(quiet);
        quiet = setTimeout(() => full(), 500); // nobody has made room for so long
        while (!socket.destroyed && sent < 512 << 20) {
          sent += notice.length;
          if (!socket.write(notice)) return void socket.once('drain', more);
        }
        full();
      };
      more();
    };
    const client = await world.raw();
    client.send(build.query('select a'));
    client.socket.pause();
    await stopped;
    assert.ok(sent < 256 << 20, `${sent} bytes were taken in`);
    client.socket.destroy();
  });

  for (const [what, body] of [
    ['without SQLSTATE', 'SERROR\0Mno code\0\0'],
    ['without any field', '\0'],
    ['with a SQLSTATE that is none', 'SERROR\0C\u{1f4a3}\0Mx\0\0'],
  ] as const) {
    it(`an error ${what} is passed on, and the session goes on`, async () => {
      answer = (socket) => socket.write(Buffer.concat([message('E', Buffer.from(body)), build.readyForQuery('I')]));
      const client = await world.raw();
      for (let i = 0; i < 2; i++)
        assert.match(brief(await client.send(build.query('select 1')).until('Z')), /^E\(.*Z\(I\)$/u);
      assert.equal(world.gate.ends().length, 2);
      client.socket.destroy();
    });
  }

  for (const [what, lie] of [
    ['an error without its end', message('E', Buffer.from('SERROR\0Mx'))],
    ['a tag that is no text', message('C', Buffer.from([0x80, 0xff, 0]))],
    ['a status nobody knows', message('Z', Buffer.from('Q'))],
    ['a request for COPY data nobody offered', message('G', Buffer.from([0, 0, 0]))],
    ['a message of a client', message('Q', Buffer.from('drop table t\0'))],
    ['a length of 2 GB', Buffer.from([0x43, 0x80, 0, 0, 0])],
    ['an error text of 1 GB', Buffer.from([0x45, 0x40, 0, 0, 0])],
  ] as const) {
    for (const how of ['simple', 'extended'] as const) {
      it(`${what} (${how}) ends that session with a FATAL, and its outcome is unknown`, async () => {
        answer = (socket, asked) => {
          if (asked[0] === 0x58) return;
          socket.write(how === 'simple' ? lie : Buffer.concat([build.parseComplete(), message('2'), lie]));
        };
        const client = await world.raw();
        if (how === 'simple') client.send(build.query('select 1'));
        else client.send(build.parse('', 'select 1'), build.bind('', ''), build.execute(''), build.sync());
        const error = parseServerMessage((await client.until('E')).at(-1)!);
        assert.equal(error.severity, 'FATAL');
        await client.end();
        await Promise.all(world.ended);
        assert.deepEqual(world.gate.ends(), ['unknown']);
      });
    }
  }
});

describe('18 a rogue target during the handshake', { timeout: 60_000 }, () => {
  const signal = new AbortController().signal;
  const sasl = (code: number, text: string): Buffer => {
    const body = Buffer.alloc(4 + Buffer.byteLength(text));
    body.writeInt32BE(code);
    body.write(text, 4);
    return message('R', body);
  };

  for (const rounds of ['2147483647', '100001', '0', '-1', '1e9']) {
    it(`SCRAM with ${rounds} rounds is not computed`, async () => {
      const bomb = await fakeTarget((socket) => {
        socket.once('data', () => {
          socket.once('data', (first) => {
            const nonce = /r=([^,]+)/.exec(first.toString('latin1'))?.[1];
            socket.write(sasl(11, `r=${nonce}more,s=c2FsdHNhbHQ=,i=${rounds}`));
          });
          socket.write(sasl(10, 'SCRAM-SHA-256\0\0'));
        });
      });
      const cpu = process.cpuUsage();
      const connecting = connectUpstream(orders(bomb.port, 'secret'), { parameters: new Map(), signal });
      await assert.rejects(connecting, { code: 'UPSTREAM' });
      assert.ok(process.cpuUsage(cpu).user < 5_000_000, 'microseconds');
      await bomb.stop();
    });
  }
});
