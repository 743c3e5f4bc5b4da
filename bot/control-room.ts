/** What of the gateways is run from Slack: `/gate`, the buttons that say its lines, and what else asks by itself. */
import type { App } from '@slack/bolt';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { askPublisher } from '../queue/carry.ts';
import { LeaseWatch } from '../queue/leases.ts';
import { Building } from './building.ts';
import { Commands } from './commands.ts';
import type { BotConfig } from './config.ts';
import { GateCaller } from './gate-ask.ts';
import { Home } from './home.ts';
import type { MessageIndex } from './index.ts';
import type { People } from './people.ts';
import type { Slack } from './slack.ts';

export type ControlRoomDeps = {
  readonly config: BotConfig;
  readonly redis: Redis;
  readonly index: MessageIndex;
  readonly slack: Slack;
  readonly people: People;
  readonly self: { readonly team: string; readonly bot: string };
  readonly log: Logger;
  readonly onTrouble: (error: Error) => void;
};

export type ControlRoom = {
  register(app: App): void;
  /** A gateway said something that somebody's App Home may show. */
  changed(): void;
  /** A gateway that is gone: let go of its queue. */
  forget(gateway: string): Promise<void>;
  close(): Promise<void>;
};

export function createControlRoom(deps: ControlRoomDeps): ControlRoom {
  const { config, redis, index, slack, people, self, log, onTrouble } = deps;
  const asks = askPublisher({
    redis,
    url: config.redis,
    key: config.key,
    gatewayKeys: () => config.gateways,
    onTrouble,
  });
  const gate = new GateCaller({ asks, leases: new LeaseWatch(redis, () => config.gateways), people, log });
  const building = new Building({ gate, slack, index, self, answerer: () => commands.answerer, log });
  const commands: Commands = new Commands({ gate, slack, index, self, log, openBuilder: building.open });
  const home = new Home({ redis, gate, slack, team: self.team, log });
  return {
    register: (app) => {
      commands.register(app);
      building.register(app);
      home.register(app);
    },
    changed: () => void home.changed(),
    forget: (gateway) => asks.forget(gateway),
    close: async () => {
      await home.close();
      await asks.close();
    },
  };
}
