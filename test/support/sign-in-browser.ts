/** A browser as far as sign-in needs one: it follows redirects and minds its cookies. */
type Kept = { readonly name: string; readonly path: string; readonly value: string; readonly written: string };
export type Page = {
  readonly status: number;
  /** Where it ended, and every address on the way. */
  readonly url: string;
  readonly way: readonly string[];
  readonly body: string;
  readonly headers: Headers;
};

/** Cookies belong to the host, whatever its port, as in every browser. */
export class Browser {
  cookies: Kept[] = [];
  /** Every Set-Cookie that was ever received. */
  readonly received: string[] = [];

  value(name: string): string | undefined {
    return this.cookies.find((one) => one.name === name)?.value;
  }

  /** One request; redirects are followed unless told otherwise, each as a GET. */
  async go(
    address: string,
    {
      form,
      headers = {},
      follow = true,
    }: { form?: Record<string, string>; headers?: Record<string, string>; follow?: boolean } = {},
  ): Promise<Page> {
    const way: string[] = [];
    let url = address;
    let body = form && new URLSearchParams(form).toString();
    for (;;) {
      way.push(url);
      const { origin, pathname } = new URL(url);
      const cookie = this.cookies
        .filter(({ path }) => pathname === path || pathname.startsWith(path.endsWith('/') ? path : `${path}/`))
        .map(({ name, value }) => `${name}=${value}`)
        .join('; ');
      const response = await fetch(url, {
        method: body === undefined ? 'GET' : 'POST',
        redirect: 'manual',
        headers: {
          accept: 'text/html,application/xhtml+xml',
          ...(cookie === '' ? {} : { cookie }),
          ...(body === undefined ? {} : { origin, 'content-type': 'application/x-www-form-urlencoded' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body }),
      });
      for (const written of response.headers.getSetCookie()) this.#keep(written, pathname);
      const location = response.headers.get('location');
      if (!follow || location === null || way.length > 12) {
        return { status: response.status, url, way, body: await response.text(), headers: response.headers };
      }
      await response.body?.cancel();
      url = new URL(location, url).href;
      body = undefined;
    }
  }

  /** From a page that asks for sign-in to the page that was wanted. */
  async signIn(gateway: { readonly url: string }, account: string, to = '/me'): Promise<Page> {
    const asked = await this.go(`${gateway.url}/sign-in?to=${encodeURIComponent(to)}`);
    return asked.url.includes('/interaction/') ? this.go(asked.url, { form: { account } }) : asked;
  }

  #keep(written: string, asked: string): void {
    this.received.push(written);
    const [pair = '', ...attributes] = written.split(';').map((part) => part.trim());
    const attribute = (name: string) =>
      attributes.find((one) => one.toLowerCase().startsWith(`${name}=`))?.slice(name.length + 1);
    const name = pair.slice(0, pair.indexOf('='));
    const path = attribute('path') ?? asked;
    this.cookies = this.cookies.filter((one) => one.name !== name || one.path !== path);
    const expires = attribute('expires');
    const over = attribute('max-age') === '0' || (expires !== undefined && Date.parse(expires) <= Date.now());
    if (!over) this.cookies.push({ name, path, value: pair.slice(name.length + 1), written });
  }
}
