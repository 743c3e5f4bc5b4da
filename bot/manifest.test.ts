/** The Slack app's manifests: within Slack's limits, with the scopes and events the bot uses and no others. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';
import { SCOPES } from './check.ts';

const url = z.url({ protocol: /^https$/ });
const EVENTS = [
  'app_home_opened',
  'app_uninstalled',
  'subteam_members_changed',
  'subteam_updated',
  'tokens_revoked',
  'user_change',
];

const text = (max: number, min = 1) => z.string().min(min).max(max);
/** As Slack documents it (docs.slack.dev/reference/app-manifest): a key or a length it does not know is refused. */
const manifestSchema = z.strictObject({
  _metadata: z.strictObject({ major_version: z.union([z.literal(1), z.literal(2)]) }),
  display_information: z.strictObject({
    name: text(35),
    description: text(140),
    long_description: text(4000, 174).optional(),
    background_color: z.string().regex(/^#(?:[0-9a-f]{3}|[0-9a-f]{6})$/i),
  }),
  features: z.strictObject({
    bot_user: z.strictObject({ display_name: z.string().regex(/^[a-z0-9._-]{1,80}$/), always_online: z.boolean() }),
    app_home: z.strictObject({
      home_tab_enabled: z.boolean(),
      messages_tab_enabled: z.boolean(),
      messages_tab_read_only_enabled: z.boolean(),
    }),
    slash_commands: z
      .array(
        z.strictObject({
          command: z.string().regex(/^\/\S{1,31}$/),
          description: text(2000),
          usage_hint: text(1000).optional(),
          should_escape: z.boolean(),
          url: url.optional(),
        }),
      )
      .max(50),
  }),
  oauth_config: z.strictObject({ scopes: z.strictObject({ bot: z.array(z.string()).max(255) }) }),
  settings: z.strictObject({
    event_subscriptions: z.strictObject({ request_url: url.optional(), bot_events: z.array(z.string()).max(100) }),
    interactivity: z.strictObject({ is_enabled: z.boolean(), request_url: url.optional() }),
    org_deploy_enabled: z.literal(false),
    socket_mode_enabled: z.boolean(),
    token_rotation_enabled: z.literal(false),
  }),
});

/** What Slack asks of whoever calls each method; for what the bot does with it, where several would do. */
const METHODS: Readonly<Record<string, readonly string[]>> = {
  'auth.test': [],
  'apps.connections.open': [], // an app-level token's own scope
  'chat.postMessage': ['chat:write'],
  'chat.postEphemeral': ['chat:write'],
  'chat.update': ['chat:write'],
  'chat.getPermalink': [],
  'conversations.info': ['channels:read', 'groups:read'],
  'conversations.history': ['channels:history', 'groups:history', 'im:history'],
  'conversations.replies': ['channels:history', 'groups:history', 'im:history'],
  'conversations.open': ['im:write'],
  'usergroups.list': ['usergroups:read'],
  'usergroups.users.list': ['usergroups:read'],
  'users.info': ['users:read', 'users:read.email'], // the second for the address in it
  'views.open': [],
  'views.push': [],
  'views.update': [],
  'views.publish': [],
};
/** Of no method: Slack sends `/gate` to whoever has it. */
const OF_NO_METHOD = ['commands'];

const sources = readdirSync(new URL('.', import.meta.url))
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
  .map((file) => readFileSync(new URL(file, import.meta.url), 'utf8'));
const FAMILIES =
  /\b((?:apps|auth|bots|chat|conversations|files|im|pins|reactions|team|usergroups|users|views)\.[a-z]+(?:\.?[A-Za-z]+)*)/;

describe('the Web API methods in the bot’s source', () => {
  const quoted = new RegExp(`['\`]${FAMILIES.source.slice(2)}['\`]`, 'g');
  const direct = /client\.((?:auth|apps\.connections|conversations|usergroups(?:\.users)?)\.[a-z]+)\(/gi;
  const called = new Set(
    sources.flatMap((source) =>
      [...source.matchAll(quoted), ...source.matchAll(direct)].map(([, method = '']) => method),
    ),
  );

  it('are all in the table of their scopes, and the table has no others', () => {
    const listed = Object.keys(METHODS).filter((method) => method !== 'apps.connections.open');
    assert.deepEqual([...called].filter((method) => method !== 'apps.connections.open').sort(), listed.sort());
  });

  it('need every scope that is asked for, and no other', () => {
    assert.deepEqual(
      [...new Set([...Object.values(METHODS).flat(), ...OF_NO_METHOD])].sort(),
      Object.keys(SCOPES).sort(),
    );
  });

  it('are no fewer events than the bot listens to', () => {
    const heard = sources.flatMap((source) =>
      [...source.matchAll(/app\.event\('([a-z_]+)'/g)].map(([, event]) => event),
    );
    assert.deepEqual(heard.sort(), EVENTS);
  });
});

for (const [file, socket] of [
  ['slack-app.yaml', true],
  ['slack-app-http.yaml', false],
] as const) {
  describe(`manifests/${file}`, () => {
    const manifest = manifestSchema.parse(
      parse(readFileSync(new URL(`../manifests/${file}`, import.meta.url), 'utf8')),
    );

    it('asks for the scopes the bot checks for, and no others', () => {
      assert.deepEqual([...manifest.oauth_config.scopes.bot].sort(), Object.keys(SCOPES).sort());
    });

    it('subscribes to the events the bot listens to, and no others', () => {
      assert.deepEqual([...manifest.settings.event_subscriptions.bot_events].sort(), EVENTS);
    });

    it(socket ? 'uses Socket Mode and names no address' : 'names one address for events and interactions', () => {
      const { settings } = manifest;
      assert.equal(settings.interactivity.is_enabled, true);
      assert.equal(settings.socket_mode_enabled, socket);
      assert.equal(settings.interactivity.request_url === undefined, socket);
      assert.equal(settings.interactivity.request_url, settings.event_subscriptions.request_url);
    });

    it('has a Home tab, and a Messages tab for cards in direct messages', () => {
      const { home_tab_enabled, messages_tab_enabled } = manifest.features.app_home;
      assert.deepEqual([home_tab_enabled, messages_tab_enabled], [true, true]);
    });

    it('has /gate, with mentions as ids', () => {
      const [gate, ...more] = manifest.features.slash_commands;
      assert.deepEqual(more, []);
      assert.equal(gate?.command, '/gate');
      assert.equal(gate?.should_escape, true, 'a name is nobody: two people may have the same');
      assert.equal(gate?.url, manifest.settings.interactivity.request_url);
    });
  });
}
