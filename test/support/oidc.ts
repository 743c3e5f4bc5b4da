/** A real OIDC provider (oidc-provider) on loopback, for the demo and the tests. Its keys can be rotated. */
import type { webcrypto } from 'node:crypto';
import { createServer } from 'node:http';
import { exportJWK, generateKeyPair, type JWK, type JWTHeaderParameters, type JWTPayload, SignJWT } from 'jose';
import type { ClientMetadata, Configuration, Provider as OidcProvider } from 'oidc-provider';
import { impatient, peopleClients, peopleConfiguration, peopleFeatures, signInPage } from './oidc-people.ts';
import { freePort } from './ports.ts';

export type OidcClient = { readonly id: string; readonly secret: string; readonly groups?: string | readonly string[] };
export type OidcAccount = {
  readonly subject: string;
  readonly email: string;
  readonly emailVerified: boolean;
  readonly groups?: string | readonly string[];
};

export type Oidc = {
  readonly issuer: string;
  readonly audience: string;
  readonly clients: readonly OidcClient[];
  /** A JWT access token of one of the clients, by its own credentials (grant `client_credentials`). */
  token(client: string): Promise<string>;
  /** A JWT access token of a person, as a sign-in would end (grant `urn:countersign:test-login`). */
  personToken(subject: string): Promise<string>;
  /** Any claims, signed with the provider's current key: for tokens that no client could ask for. */
  sign(claims: JWTPayload, header?: Partial<JWTHeaderParameters>): Promise<string>;
  /** From now on sign with a new key and publish only that. */
  rotateKeys(): Promise<void>;
  /** What the token's lifetime will be from now on. */
  setTokenSeconds(seconds: number): void;
  /** How long a device's code is good for, from now on. */
  setDeviceSeconds(seconds: number): void;
  /** Requests for the key set so far. */
  keyRequests(): number;
  stop(): Promise<void>;
  /** After `stop`: listen again on the same port with the same keys. */
  start(): Promise<void>;
};

const AUDIENCE = 'countersign';
const RESOURCE = 'urn:countersign';
const LOGIN_GRANT = 'urn:countersign:test-login';
const LOGIN_CLIENT = { id: 'sign-in', secret: 'sign-in-demo-secret' };

const ACCOUNTS: readonly OidcAccount[] = ['alice', 'bob', 'carol', 'dave'].map((subject) => ({
  subject,
  email: `${subject}@example.com`,
  emailVerified: true,
  groups: ['data-science'],
}));

export async function startOidc(options: {
  port?: number;
  clients: readonly OidcClient[];
  accounts?: readonly OidcAccount[];
  tokenSeconds?: number;
  webUrl?: string | undefined;
}): Promise<Oidc> {
  const port = options.port ?? (await freePort());
  const issuer = `http://127.0.0.1:${port}`;
  const accounts = options.accounts ?? ACCOUNTS;
  const { default: Provider } = await quietly(() => import('oidc-provider'));
  let tokenSeconds = options.tokenSeconds ?? 12 * 3_600;
  const lifetime = () => tokenSeconds;
  let deviceSeconds = 600;
  const deviceLifetime = () => deviceSeconds;
  let keyRequests = 0;
  let keys: Awaited<ReturnType<typeof newKey>>;
  let handle: ReturnType<InstanceType<typeof Provider>['callback']>;
  let serving: OidcProvider;

  const groupsOf = (subject: string) =>
    (options.clients.find(({ id }) => id === subject) ?? accounts.find((account) => account.subject === subject))
      ?.groups;

  const rotateKeys = async () => {
    keys = await newKey();
    const configuration: Configuration = {
      jwks: { keys: [keys.jwk] },
      ttl: {
        AccessToken: lifetime,
        ClientCredentials: lifetime,
        IdToken: lifetime,
        DeviceCode: deviceLifetime,
        ...{ Interaction: 600, Session: 3_600, Grant: 86_400, RefreshToken: 86_400 },
      },
      clients: [...options.clients, LOGIN_CLIENT]
        .map(
          ({ id, secret }): ClientMetadata => ({
            client_id: id,
            client_secret: secret,
            grant_types: id === LOGIN_CLIENT.id ? [LOGIN_GRANT] : ['client_credentials'],
            redirect_uris: [],
            response_types: [],
          }),
        )
        .concat(peopleClients(options.webUrl)),
      ...peopleConfiguration(accounts),
      features: {
        devInteractions: { enabled: false },
        ...peopleFeatures,
        clientCredentials: { enabled: true },
        resourceIndicators: {
          enabled: true,
          defaultResource: () => RESOURCE,
          useGrantedResource: () => true,
          getResourceServerInfo: () => ({
            scope: '',
            audience: AUDIENCE,
            accessTokenTTL: tokenSeconds,
            accessTokenFormat: 'jwt',
            jwt: { sign: { alg: 'RS256' } },
          }),
        },
      },
      extraTokenClaims: (_, token) => {
        const subject = ('accountId' in token ? token.accountId : undefined) ?? token.clientId ?? '';
        const account = accounts.find((one) => one.subject === subject);
        const groups = groupsOf(subject);
        return {
          ...(account ? { email: account.email, email_verified: account.emailVerified } : {}),
          ...(groups === undefined ? {} : { groups }),
        };
      },
    };
    const provider = await quietly(async () => new Provider(issuer, configuration));
    provider.registerGrantType(
      LOGIN_GRANT,
      async (ctx) => {
        const { client, params } = ctx.oidc;
        const account = accounts.find((one) => one.subject === params?.account);
        if (!client || !account) return ctx.throw(400, 'no such account');
        const token = new provider.AccessToken({
          accountId: account.subject,
          client,
          grantId: 'test-login',
          gty: 'test-login',
          scope: '',
        });
        token.resourceServer = new provider.ResourceServer(RESOURCE, {
          scope: '',
          audience: AUDIENCE,
          accessTokenTTL: tokenSeconds,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        });
        ctx.body = { access_token: await token.save(), token_type: 'Bearer', expires_in: tokenSeconds };
      },
      ['account'],
    );
    impatient(provider);
    serving = provider;
    handle = provider.callback();
  };
  await rotateKeys();

  const listen = async () => {
    const server = createServer((request, response) => {
      if (request.url === '/jwks') keyRequests++;
      signInPage(serving, { accounts, resource: RESOURCE }, request, response).then(
        (answered) => void (answered || handle(request, response)),
        () => response.writeHead(400).end('this sign-in is over; begin again'),
      );
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
    return server;
  };
  let server = await listen();

  const ask = async (client: { id: string; secret: string }, form: Record<string, string>) => {
    const basic = Buffer.from(`${client.id}:${client.secret}`).toString('base64');
    const response = await fetch(`${issuer}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${basic}`, connection: 'close' }, // a pooled one would not survive stop()
      body: new URLSearchParams(form),
    });
    const body = (await response.json()) as { access_token?: string };
    if (!body.access_token) throw new Error(`OIDC token: ${response.status} ${JSON.stringify(body)}`);
    return body.access_token;
  };

  return {
    issuer,
    audience: AUDIENCE,
    clients: options.clients,
    token: async (id) => {
      const client = options.clients.find((one) => one.id === id);
      if (!client) throw new Error(`no OIDC client ${id}`);
      return ask(client, { grant_type: 'client_credentials' });
    },
    personToken: (subject) => ask(LOGIN_CLIENT, { grant_type: LOGIN_GRANT, account: subject }),
    sign: (claims, header) =>
      new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: keys.kid, typ: 'at+jwt', ...header }).sign(keys.key),
    rotateKeys,
    setTokenSeconds: (seconds) => {
      tokenSeconds = seconds;
    },
    setDeviceSeconds: (seconds) => {
      deviceSeconds = seconds;
    },
    keyRequests: () => keyRequests,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
    start: async () => {
      server = await listen();
    },
  };
}

async function newKey(): Promise<{ kid: string; key: webcrypto.CryptoKey; jwk: JWK }> {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  const kid = crypto.randomUUID();
  return { kid, key: privateKey, jwk: { ...(await exportJWK(privateKey)), kid, alg: 'RS256', use: 'sig' } };
}

/** oidc-provider warns about Node 20 and development settings on every start; both are meant here. */
async function quietly<T>(work: () => Promise<T>): Promise<T> {
  const { warn, info } = console;
  console.warn = () => {};
  console.info = () => {};
  try {
    return await work();
  } finally {
    Object.assign(console, { warn, info });
  }
}
