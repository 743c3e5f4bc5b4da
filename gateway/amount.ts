/** How many, as people say it. Pure. */

/** `1 session`, `1,204 sessions` */
export const counted = (n: number, one: string, many = `${one}s`): string =>
  `${n.toLocaleString('en-US')} ${n === 1 ? one : many}`;

const UNITS = ['bytes', 'KB', 'MB', 'GB', 'TB', 'PB'] as const;

/** `1,000 rows`, `1 row`, `10 MB`, `1.5 GB`: K, M and G are powers of 1024, and never more is said than there is. */
export function amount(of: 'rows' | 'bytes', count: number): string {
  if (of === 'rows') return counted(count, 'row');
  if (count === 1) return '1 byte';
  const power = count < 1024 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(count) / 10));
  const scaled = Math.floor((count / 1024 ** power) * 10) / 10;
  return `${scaled.toLocaleString('en-US')} ${UNITS[power]}`;
}
