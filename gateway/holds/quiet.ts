/** Quiet hours: whom a card may ring now. Pure. */

export type QuietHours = {
  /** Minutes after midnight in `zone`; from 22:00 to 07:00 goes over midnight. */
  readonly from: number;
  readonly to: number;
  /** An IANA time zone. */
  readonly zone: string;
  /** Who is rung all the same. */
  readonly ring: readonly string[];
};

const formats = new Map<string, Intl.DateTimeFormat>();

/** Who alone may be rung at this time; undefined: everybody. */
export function rungIn(quiet: QuietHours | undefined, epochMs: number): readonly string[] | undefined {
  if (!quiet) return undefined;
  const { from, to, zone, ring } = quiet;
  const minute = minuteOf(zone, epochMs);
  const inside = from < to ? minute >= from && minute < to : minute >= from || minute < to;
  return inside ? ring : undefined;
}

function minuteOf(zone: string, epochMs: number): number {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat('en', { timeZone: zone, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
    if (formats.size > 20) formats.clear();
    formats.set(zone, format);
  }
  const part = (type: string) => Number(format.formatToParts(epochMs).find((one) => one.type === type)?.value ?? 0);
  return part('hour') * 60 + part('minute');
}
