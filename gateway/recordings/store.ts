/** Where finished recordings are kept: what every store can do, and which keys there are. */
import { GatewayError } from '../errors.ts';
import { RECORDING_FILE } from './summary.ts';

/** Lie beside a recording: what is known of it, and that it must not go. */
export const SUMMARY = '.summary.json';
export const HOLD = '.hold.json';
const BESIDE = [SUMMARY, HOLD];

export type Stored = {
  readonly key: string;
  readonly bytes: number;
  /** Epoch ms. */
  readonly modifiedAt: number;
};

/** What a recording's bytes must be. `sha256`: hex. */
export type Content = { readonly bytes: number; readonly sha256: string };

export type Store = {
  /** Oldest first, recordings and what lies beside them. @throws GatewayError UNAVAILABLE */
  list(signal?: AbortSignal): AsyncIterable<Stored>;
  /** Undefined where there is none. @throws GatewayError UNAVAILABLE */
  readText(key: string): Promise<string | undefined>;
  putText(key: string, text: string): Promise<void>;
  /** Nobody can remove it yet. @throws GatewayError UNAVAILABLE */
  locked(key: string): Promise<boolean>;
  /** Nothing happens where there is none. @throws GatewayError UNAVAILABLE */
  remove(key: string): Promise<void>;
};

/** The recording that a key is, or lies beside; undefined for what is neither. */
export function recordingOf(key: string): string | undefined {
  const suffix = BESIDE.find((each) => key.endsWith(each)) ?? '';
  const file = key.slice(0, key.length - suffix.length);
  return RECORDING_FILE.test(file) ? file : undefined;
}

/** @throws GatewayError RECORDING for what is no place of a recording */
export function checkedKey(key: string): string {
  if (recordingOf(key) === undefined) throw new GatewayError('RECORDING', 'that is no place of a recording');
  return key;
}
