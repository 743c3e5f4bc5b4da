/** Cookies of the pages: read strictly, written so that no other host, script or site can use them. Pure. */

export type Cookie = {
  /** What the header says instead of any such cookie that was there. */
  set(value: string, maxAgeMs: number): string;
  clear(): string;
  /** Undefined where there is none, or more than one: which of them is ours cannot be told. */
  read(header: string | undefined): string | undefined;
};

const VALUE = /^[A-Za-z0-9_-]{43}$/; // 256 bits

/**
 * Over https the name has the prefix `__Host-`, which browsers take only from this very host, over TLS and for the whole
 * site; plain http, on loopback only, has neither it nor `Secure`.
 */
export function cookie(name: string, { secure }: { readonly secure: boolean }): Cookie {
  const full = secure ? `__Host-${name}` : name;
  const written = (value: string, seconds: number) =>
    `${full}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`;
  return {
    set: (value, maxAgeMs) => written(value, Math.max(1, Math.floor(maxAgeMs / 1_000))),
    clear: () => written('', 0),
    read: (header = '') => {
      const values = header.split(';').flatMap((pair) => {
        const [key, ...rest] = pair.trim().split('=');
        return key === full ? [rest.join('=')] : [];
      });
      const [value] = values;
      return values.length === 1 && value !== undefined && VALUE.test(value) ? value : undefined;
    },
  };
}
