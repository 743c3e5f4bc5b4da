/** Every attack there is. */
import type { Attack } from '../attack.ts';
import { CHANNELS } from './channels.ts';
import { CONSTRUCTED } from './constructed.ts';
import { COPY } from './copy.ts';
import { ERRORS } from './errors.ts';
import { FRAME } from './frame.ts';
import { LOOKUPS } from './lookups.ts';
import { NAMES } from './names.ts';
import { ORACLES } from './oracles.ts';
import { PROTOCOL } from './protocol.ts';
import { QUERIES } from './queries.ts';
import { RACES } from './races.ts';
import { VALUES } from './values.ts';
import { WRITES } from './writes.ts';

export const ATTACKS: readonly Attack[] = [
  ...VALUES,
  ...QUERIES,
  ...CONSTRUCTED,
  ...ERRORS,
  ...CHANNELS,
  ...WRITES,
  ...COPY,
  ...NAMES,
  ...PROTOCOL,
  ...LOOKUPS,
  ...FRAME,
  ...RACES,
  ...ORACLES,
];
