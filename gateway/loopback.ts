/** Is this peer on this machine? What crosses a network in the clear is not asked for secrets. Pure. */
import { isIP } from 'node:net';

/** 127.0.0.0/8, ::1, and the former written as IPv6. */
export function isLoopback(address: string): boolean {
  const v4 = address.startsWith('::ffff:') ? address.slice(7) : address;
  return address === '::1' || (isIP(v4) === 4 && v4.startsWith('127.'));
}
