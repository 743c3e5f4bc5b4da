/** How people sign in at the provider: a page with a button for each of them, in a browser or for a device's code. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ClientMetadata, Configuration, Provider } from 'oidc-provider';
import type { OidcAccount } from './oidc.ts';

export const WEB_CLIENT = { id: 'countersign-web', secret: 'countersign-web-demo-secret' };
export const DEVICE_CLIENT = 'countersign-cli';
const SCOPES = 'openid profile email offline_access';

/** `webUrl`: the one https address of the pages; left out, they are native clients, whose loopback addresses are good with any port. */
export const peopleClients = (webUrl?: string): ClientMetadata[] => [
  {
    client_id: WEB_CLIENT.id,
    client_secret: WEB_CLIENT.secret,
    application_type: webUrl === undefined ? 'native' : 'web',
    grant_types: ['authorization_code'],
    response_types: ['code'],
    redirect_uris: [`${webUrl ?? 'http://127.0.0.1'}/sign-in/callback`],
    post_logout_redirect_uris: [`${webUrl ?? 'http://127.0.0.1'}/signed-out`],
  },
  {
    client_id: DEVICE_CLIENT,
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
    response_types: [],
    redirect_uris: [],
  },
];

/** What the provider needs beside its clients; `resource` is what access tokens are for. */
export const peopleConfiguration = (
  accounts: readonly OidcAccount[],
): Pick<
  Configuration,
  'claims' | 'conformIdTokenClaims' | 'findAccount' | 'interactions' | 'issueRefreshToken' | 'cookies' | 'scopes'
> => ({
  scopes: SCOPES.split(' '),
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['groups'] },
  conformIdTokenClaims: false, // in the ID token, as companies' issuers have them
  findAccount: (_, accountId) => {
    const account = accounts.find(({ subject }) => subject === accountId);
    const { email, emailVerified, groups } = account ?? {};
    const more = account ? { email, email_verified: emailVerified, ...(groups === undefined ? {} : { groups }) } : {};
    return { accountId, claims: () => ({ sub: accountId, ...more }) };
  },
  interactions: { url: (_, { uid }) => `/interaction/${uid}` },
  issueRefreshToken: async (_, client) => client.clientId === DEVICE_CLIENT,
  cookies: { keys: ['of the demo'] },
});

const titled = (title: string, body: string): string =>
  `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${title}</title></head>
<body><h1>${title}</h1>${body}</body></html>`;

/** Its pages for devices and for signing out, plain: `form` is made by the provider, and ours are only its buttons. */
export const peopleFeatures: Configuration['features'] = {
  deviceFlow: {
    enabled: true,
    userCodeInputSource: (ctx, form, _out, error) => {
      ctx.body = titled(
        'Sign in a device',
        `${error ? '<p>That code did not work.</p>' : ''}${form}<button form="op.deviceInputForm">Continue</button>`,
      );
    },
    userCodeConfirmSource: (ctx, form, _client, _device, code) => {
      const buttons =
        '<button form="op.deviceConfirmForm">Yes</button> <button form="op.deviceConfirmForm" name="abort" value="yes">No</button>';
      ctx.body = titled('Is this the code?', `<p>${code}</p>${form}${buttons}`);
    },
    successSource: (ctx) => {
      ctx.body = titled('Signed in', '<p>Go back to your terminal.</p>');
    },
  },
  rpInitiatedLogout: {
    enabled: true,
    logoutSource: (ctx, form) => {
      ctx.body = titled(
        'Sign out here, too?',
        `${form}<button form="op.logoutForm" name="logout" value="yes">Yes</button> <button form="op.logoutForm">No</button>`,
      );
    },
  },
};

/** Devices may ask every second, not every five: nobody waits for a test. */
export const impatient = (provider: Provider): void =>
  void provider.use(async (ctx, next) => {
    await next();
    if (ctx.path === '/device/auth' && ctx.status === 200) ctx.body = { ...(ctx.body as object), interval: 1 };
  });

/** Answers what belongs to the sign-in page; false where the request is for somebody else. */
export async function signInPage(
  provider: Provider,
  people: { readonly accounts: readonly OidcAccount[]; readonly resource: string },
  request: IncomingMessage,
  response: ServerResponse,
): Promise<boolean> {
  if (!request.url?.startsWith('/interaction/')) return false;
  const details = await provider.interactionDetails(request, response);
  if (details.prompt.name !== 'login') {
    const clientId = String(details.params.client_id);
    const grant = new provider.Grant({ accountId: details.session?.accountId ?? '', clientId });
    grant.addOIDCScope(SCOPES);
    grant.addResourceScope(people.resource, '');
    const grantId = await grant.save();
    await provider.interactionFinished(request, response, { consent: { grantId } }, { mergeWithLastSubmission: true });
    return true;
  }
  if (request.method === 'POST') {
    let body = '';
    for await (const chunk of request) body += chunk;
    const accountId = new URLSearchParams(body).get('account') ?? '';
    const known = people.accounts.some(({ subject }) => subject === accountId);
    const result = known ? { login: { accountId } } : { error: 'access_denied', error_description: 'nobody signed in' };
    await provider.interactionFinished(request, response, result);
    return true;
  }
  const buttons = people.accounts.map(
    ({ subject }) => `<p><button name="account" value="${subject}">${subject}</button></p>`,
  );
  response
    .writeHead(200, { 'content-type': 'text/html; charset=utf-8' })
    .end(
      titled(
        'Sign in as',
        `<form method="post">${buttons.join('\n')}<p><button name="account" value="">Nobody</button></p></form>`,
      ),
    );
  return true;
}
