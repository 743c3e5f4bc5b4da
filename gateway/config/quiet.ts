/** `approvals.quiet_hours`: when a card rings nobody but the few named here. */
import { z } from 'zod';
import { approvers } from '../policy/schema.ts';
import { section } from './problems.ts';
import { line } from './units.ts';

const TIME_EXPECTED = 'expected a time of day in quotes, like "22:00"';
const ZONE_EXPECTED = 'expected a time zone, like Europe/Berlin or UTC';

/** `22:00` to minutes after midnight. */
const timeOfDay = z
  .string({ error: TIME_EXPECTED })
  .regex(/^(?:[01]\d|2[0-3]):[0-5]\d$/, TIME_EXPECTED)
  .transform((text) => Number(text.slice(0, 2)) * 60 + Number(text.slice(3)));

const zone = line(ZONE_EXPECTED, 64).refine((name) => {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}, ZONE_EXPECTED);

export const quietHours = section({ from: timeOfDay, to: timeOfDay, zone, ring: approvers.default([]) }).refine(
  ({ from, to }) => from !== to,
  { path: ['to'], message: 'expected another time than from: the whole day is no quiet hours' },
);
