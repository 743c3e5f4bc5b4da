/** Where attacks are sent: straight to a real PostgreSQL as an ordinary role, or through the gateway to the same. */
import { startPostgres, type TestPostgres } from '../support/postgres.ts';
import { type Config, startWorld } from '../support/world.ts';
import type { Target } from './client.ts';
import { APP, createLab, createRoles, type Lab, MASKED_COLUMNS } from './schema.ts';

export type RouteName = 'direct' | 'gateway';

export type Route = {
  readonly name: RouteName;
  readonly server: TestPostgres;
  readonly lab: Lab;
  /** Where the attacker's sessions go. */
  target(): Promise<Target>;
  /** The lab itself, as the gateway's own role. */
  readonly straight: Target;
  /** Another lab of the same shape with other values in it, straight: what looks like a find there is chance. */
  readonly twin: Target;
  /** The other lab the attacker's way: by the same route, as another database. */
  twinTarget(): Promise<Target>;
  close(): Promise<void>;
};

const DATABASE = 'lab';
const TWIN = 'twin';

export type RouteOptions = {
  /** The gateway's `masking` section; left out: the lab's columns, redacted. */
  readonly masking?: readonly Config[];
  /** Keys of the gateway's connection beside its address. */
  readonly connection?: Config;
  /** Another release's programs. */
  readonly bin?: string | undefined;
};

const MASKING: readonly Config[] = [{ connection: DATABASE, columns: [...MASKED_COLUMNS], as: 'redact' }];
/** Policy lets everything pass, so that what stops an attack is masking alone. */
const OPEN: Config = { default: { read: 'allow', write: 'allow', unknown: 'allow' } };

export async function openRoute(name: RouteName, options: RouteOptions = {}): Promise<Route> {
  return name === 'direct' ? await openDirect(options) : await openGateway(options);
}

async function openDirect({ bin }: RouteOptions): Promise<Route> {
  const server = await startPostgres({ bin });
  try {
    const lab = await createLabs(server);
    return {
      name: 'direct',
      server,
      lab,
      target: async () => straightTo(server, DATABASE),
      twinTarget: async () => straightTo(server, TWIN),
      ...parts(server),
      close: () => server.stop(),
    };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

async function openGateway({ masking = MASKING, connection = OPEN, bin }: RouteOptions): Promise<Route> {
  const world = await startWorld({
    gateways: 0,
    ...(bin === undefined ? {} : { postgresBin: bin }),
    env: { LAB_PW: APP.password },
    config: (config) => ({
      ...config,
      limits: { open_holds_per_principal: 1_000, open_holds_per_connection: 1_000, sessions_per_principal: 1_000 },
      connections: [
        ...config.connections,
        ...[DATABASE, TWIN].map((database) => labConnection(database, config.connections[0].upstream, connection)),
      ],
      ...(masking.length > 0 ? { masking: [...masking, ...masking.map((one) => ({ ...one, connection: TWIN }))] } : {}),
    }),
  });
  try {
    const lab = await createLabs(world.upstream);
    const gateway = await world.startGateway();
    const password = await world.token();
    const through = (database: string) => ({ ...gateway.postgres, user: 'report-bot', password, database });
    return {
      name: 'gateway',
      server: world.upstream,
      lab,
      target: async () => through(DATABASE),
      twinTarget: async () => through(TWIN),
      ...parts(world.upstream),
      close: () => world.stop(),
    };
  } catch (error) {
    await world.stop();
    throw error;
  }
}

const labConnection = (database: string, upstream: Config, rest: Config): Config => ({
  name: database,
  protocol: 'postgres',
  environment: 'production',
  upstream: { ...upstream, database, user: APP.user, password: `\${env:LAB_PW}` },
  ...rest,
});

async function createLabs(server: TestPostgres): Promise<Lab> {
  await createRoles(server);
  await createLab(server, TWIN, 'twin');
  return await createLab(server, DATABASE, 'lab');
}

const straightTo = (server: TestPostgres, database: string): Target => ({
  host: server.host,
  port: server.port,
  ...APP,
  database,
});

const parts = (server: TestPostgres) => ({ straight: straightTo(server, DATABASE), twin: straightTo(server, TWIN) });
