/** Ordinary work: what people, drivers and reports send all day, and which columns of the answers are masked. */
import { APPLICATIONS } from './ordinary/applications.ts';
import { INTROSPECTION } from './ordinary/introspection.ts';
import { REPORTS } from './ordinary/reports.ts';
import type { Ordinary } from './ordinary/types.ts';

export const ORDINARY: readonly Ordinary[] = [...REPORTS, ...APPLICATIONS, ...INTROSPECTION];
