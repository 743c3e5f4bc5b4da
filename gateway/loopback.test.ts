/** Whose peer is on this machine, by its address alone. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isLoopback } from './loopback.ts';

describe('a peer', () => {
  for (const address of ['127.0.0.1', '127.0.0.2', '127.255.255.254', '::1', '::ffff:127.0.0.1']) {
    it(`at ${address} is on this machine`, () => assert.equal(isLoopback(address), true));
  }
  for (const address of [
    '',
    '10.0.0.1',
    '::ffff:10.0.0.1',
    '192.168.127.1',
    '128.0.0.1',
    '0.0.0.0',
    '::',
    '::2',
    'fe80::1%eth0',
    '127.0.0.1.evil.example',
    '127.1',
    '127.0.0.256',
    'localhost',
  ]) {
    it(`at "${address}" may be anywhere`, () => assert.equal(isLoopback(address), false));
  }
});
