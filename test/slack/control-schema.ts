/** What `POST /control/<name>` takes, one schema for each name. */
import { z } from 'zod';
import { faultSchema } from './faults.ts';

const id = z.string().min(1).max(100);
const values = z.record(z.string(), z.record(z.string(), z.unknown()));
/** False: answer at the acknowledgement, without waiting for what follows (the page sees that anyway). */
const follow = z.boolean().default(true);
export const schemas = {
  click: z.strictObject({
    user: id,
    channel: id.optional(),
    ts: id.optional(),
    view_id: id.optional(),
    action_id: z.string().max(255),
    block_id: z.string().max(255).optional(),
    value: z.string().max(2000).optional(),
    values: values.optional(),
    follow,
  }),
  command: z.strictObject({
    user: id,
    channel: id,
    command: z.string().regex(/^\/\S{1,31}$/),
    text: z.string().max(4000).default(''),
    follow,
  }),
  submit: z.strictObject({ user: id, view_id: id, values: values.default({}), follow }),
  close: z.strictObject({ user: id, view_id: id, whole: z.boolean().optional() }),
  home: z.strictObject({ user: id, tab: z.enum(['home', 'messages']).default('home'), follow }),
  deactivate: z.strictObject({ user: id }),
  group: z.strictObject({
    handle: z.string().max(100),
    add: z.array(id).optional(),
    remove: z.array(id).optional(),
    disabled: z.boolean().optional(),
  }),
  person: z.strictObject({
    user: id,
    name: z.string().max(80).optional(),
    real_name: z.string().max(80).optional(),
    email: z.string().max(255).optional(),
    team_id: id.optional(),
    tz: z.string().max(60).optional(),
    deleted: z.boolean().optional(),
    is_admin: z.boolean().optional(),
    is_bot: z.boolean().optional(),
    is_app_user: z.boolean().optional(),
    is_restricted: z.boolean().optional(),
    is_ultra_restricted: z.boolean().optional(),
    is_stranger: z.boolean().optional(),
    is_invited_user: z.boolean().optional(),
    is_workflow_bot: z.boolean().optional(),
    is_connector_bot: z.boolean().optional(),
    is_email_confirmed: z.boolean().optional(),
    channels: z.array(id).optional(),
  }),
  channel: z.strictObject({
    channel: id,
    archived: z.boolean().optional(),
    ext_shared: z.boolean().optional(),
    add: z.array(id).optional(),
    remove: z.array(id).optional(),
  }),
  post: z.strictObject({
    user: id,
    channel: id,
    text: z.string().max(40_000),
    blocks: z.array(z.record(z.string(), z.unknown())).optional(),
    /** As another app: a look-alike of a card. */
    bot_id: id.optional(),
    username: z.string().max(80).optional(),
  }),
  delete: z.strictObject({ channel: id, ts: id }),
  fault: faultSchema,
  reset: z.strictObject({}),
} as const;

export type Request = {
  [Name in keyof typeof schemas]: { name: Name; input: z.infer<(typeof schemas)[Name]> };
}[keyof typeof schemas];
