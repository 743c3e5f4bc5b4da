import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';
import { SCOPES } from './check.ts';

const url = z.url({ protocol: /^https$/ });
/** The manifest's schema as Slack documents it, as far as this app uses it; limits included. */
const manifestSchema = z.strictObject({
  _metadata: z.strictObject({ major_version: z.union([z.literal(1), z.literal(2)]) }),
  display_information: z.strictObject({
    name: z.string().min(1).max(35),
    description: z.string().max(140),
    background_color: z.string().regex(/^#(?:[0-9a-f]{3}|[0-9a-f]{6})$/i),
  }),
  features: z.strictObject({
    bot_user: z.strictObject({ display_name: z.string().regex(/^[a-z0-9._-]{1,80}$/), always_online: z.boolean() }),
    slash_commands: z
      .array(
        z.strictObject({
          command: z.string().regex(/^\/\S{1,31}$/),
          description: z.string().max(2000),
          usage_hint: z.string().max(1000).optional(),
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
const EVENTS = ['app_uninstalled', 'subteam_members_changed', 'subteam_updated', 'tokens_revoked', 'user_change'];

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

    it('has /gate, with mentions as ids', () => {
      const [gate, ...more] = manifest.features.slash_commands;
      assert.deepEqual(more, []);
      assert.equal(gate?.command, '/gate');
      assert.equal(gate?.should_escape, true, 'a name is nobody: two people may have the same');
      assert.equal(gate?.url, manifest.settings.interactivity.request_url);
    });
  });
}
