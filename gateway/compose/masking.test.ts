/** `hash`: what it is keyed with, and what is said where gateways hash differently. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { newKeyPair } from '../../queue/sign.ts';
import { changed, sources } from '../../test/support/config-file.ts';
import { type Config, parseConfig } from '../config.ts';
import type { Principal } from '../operation.ts';
import { hashesDiffer, MaskingBook } from './masking.ts';

const [one, other, shared, another] = [newKeyPair(), newKeyPair(), newKeyPair(), newKeyPair()];
const env: Record<string, string> = {
  ONE: one.secret,
  OTHER: other.secret,
  SHARED: shared.secret,
  ANOTHER: another.secret,
};
const TEXT = 25;

function config(own: 'ONE' | 'OTHER', masking?: 'SHARED' | 'ANOTHER', as = 'hash'): Config {
  const text = changed((file) => {
    file.keys = {
      own: `\${env:${own}}`,
      bots: [],
      gateways: [one.public, other.public],
      ...(masking && { masking: `\${env:${masking}}` }),
    };
    file.masking = [{ connection: 'orders', columns: ['public.customers.ssn'], as }];
  });
  return parseConfig(text, { sources: { ...sources, env: { ...sources.env, ...env } } });
}

const principal = {
  issuer: 'https://login.example.com',
  subject: 'a',
  groups: [],
  name: 'a',
  kind: 'agent',
} as unknown as Principal;

function hashed(by: Config): string | undefined {
  const { masker } = new MaskingBook(by, { onMasked: () => {} }).maskingOf('orders', principal);
  return masker.mask({ kind: 'hash' }, TEXT, 'text', Buffer.from('078-05-1120'))?.toString();
}

describe('values masked as hash', () => {
  it('are equal on all gateways with the same keys.masking, whatever their own keys', () => {
    const value = hashed(config('ONE', 'SHARED'));
    assert.ok(value && !value.includes('1120'));
    assert.equal(hashed(config('OTHER', 'SHARED')), value);
    assert.notEqual(hashed(config('ONE', 'ANOTHER')), value);
  });

  it('differ from gateway to gateway without it, which is said with its remedy', () => {
    assert.notEqual(hashed(config('ONE')), hashed(config('OTHER')));
    assert.match(hashesDiffer(config('ONE')) ?? '', /give all of them the same keys\.masking/);
    assert.equal(hashesDiffer(config('ONE', 'SHARED')), undefined);
    assert.equal(hashesDiffer(config('ONE', undefined, 'redact')), undefined);
  });

  it('follow a new key at a reload', () => {
    const book = new MaskingBook(config('ONE', 'SHARED'), { onMasked: () => {} });
    const value = () =>
      book.maskingOf('orders', principal).masker.mask({ kind: 'hash' }, TEXT, 'text', Buffer.from('a'))?.toString();
    const before = value();
    book.update(config('ONE', 'ANOTHER'));
    assert.notEqual(value(), before);
  });

  it('never use a key that signs', () => {
    assert.throws(() => config('ONE', 'ONE' as 'SHARED'), /keys\.masking: this key signs, too/);
  });
});
