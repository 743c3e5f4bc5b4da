/** Web API: users, user groups and views. Each method answers as Slack's reference page says. */
import { ApiError, type Args, type Context, type Method } from './api.ts';
import { viewErrors } from './blocks.ts';
import { page } from './methods-chat.ts';
import { openView, publishHome, updateView } from './views.ts';
import type { Group, Json, Person, View, Workspace } from './workspace.ts';

const method = (tier: Method['tier'], scopes: readonly string[], run: Method['run']): Method => ({
  token: 'bot',
  scopes,
  tier,
  run,
});

/** A member as `users.info` tells it; the e-mail only to who may read it. */
export function userJson(workspace: Workspace, person: Person, withEmail: boolean): Json {
  return {
    id: person.id,
    team_id: person.team_id,
    name: person.name,
    deleted: person.deleted,
    real_name: person.real_name,
    tz: person.tz,
    tz_label: person.tz,
    tz_offset: person.tz_offset,
    profile: {
      title: person.title,
      real_name: person.real_name,
      real_name_normalized: person.real_name,
      display_name: person.name,
      display_name_normalized: person.name,
      team: person.team_id,
      ...(withEmail && person.email !== '' && !person.is_stranger ? { email: person.email } : {}),
    },
    is_admin: person.is_admin,
    is_owner: false,
    is_primary_owner: false,
    is_restricted: person.is_restricted || person.is_ultra_restricted,
    is_ultra_restricted: person.is_ultra_restricted,
    is_bot: person.is_bot,
    is_app_user: person.is_app_user,
    is_email_confirmed: person.is_email_confirmed,
    updated: person.updated,
    ...(person.team_id === workspace.team.id ? {} : { is_stranger: person.is_stranger }),
    ...(person.is_stranger ? { is_stranger: true } : {}),
    ...(person.is_invited_user ? { is_invited_user: true } : {}),
    ...(person.is_workflow_bot ? { is_workflow_bot: true } : {}),
    ...(person.is_connector_bot ? { is_connector_bot: true } : {}),
  };
}

export function groupJson(workspace: Workspace, group: Group, withUsers: boolean): Json {
  return {
    id: group.id,
    team_id: workspace.team.id,
    is_usergroup: true,
    name: group.name,
    description: '',
    handle: group.handle,
    is_external: false,
    date_create: group.updated,
    date_update: group.updated,
    date_delete: group.disabled ? group.updated : 0,
    auto_type: null,
    created_by: 'U0ALICE',
    updated_by: 'U0ALICE',
    deleted_by: null,
    prefs: { channels: [], groups: [] },
    user_count: group.users.length,
    ...(withUsers ? { users: group.users } : {}),
  };
}

const mayReadEmail = ({ workspace }: Context): boolean => workspace.app.scopes.includes('users:read.email');

const viewArgument = (args: Args): Json => {
  const raw = args.json('view', 'invalid_arguments');
  const wrong = viewErrors(raw);
  if (wrong !== undefined) throw new ApiError(wrong.error, { response_metadata: { messages: wrong.messages } });
  return raw as Json;
};

const openOrPush =
  (how: 'open' | 'push'): Method['run'] =>
  ({ workspace, interactions }, args) => {
    const view = viewArgument(args);
    if (view.type !== 'modal')
      throw new ApiError('invalid_arguments', {
        response_metadata: { messages: ['[ERROR] must be a modal [json-pointer:/view/type]'] },
      });
    const trigger = interactions.triggers.take(args.text('trigger_id') ?? args.text('interactivity_pointer') ?? '');
    return { view: openView(workspace, trigger.user, view, how) };
  };

function viewNamed(workspace: Workspace, args: Args): View {
  const external = args.text('external_id');
  const id = external === undefined ? args.need('view_id') : undefined;
  const all = [...workspace.modals.values()].flat();
  const found = all.find((view) => (external === undefined ? view.id === id : view.external_id === external));
  if (found === undefined) throw new ApiError('not_found');
  return found;
}

export const peopleMethods: readonly (readonly [string, Method])[] = [
  [
    'users.info',
    method(4, ['users:read'], (context, args) => {
      const person = context.workspace.people.get(args.need('user'));
      if (person === undefined) throw new ApiError('user_not_found');
      return { user: userJson(context.workspace, person, mayReadEmail(context)) };
    }),
  ],
  [
    'users.list',
    method(2, ['users:read'], (context, args) => {
      const { items, metadata } = page(args, [...context.workspace.people.values()], 200, 1000);
      return {
        members: items.map((person) => userJson(context.workspace, person, mayReadEmail(context))),
        cache_ts: context.workspace.seconds(),
        response_metadata: metadata,
      };
    }),
  ],
  [
    'users.lookupByEmail',
    method(3, ['users:read.email'], ({ workspace }, args) => {
      const email = args.need('email').toLowerCase();
      const person = [...workspace.people.values()].find((one) => one.email.toLowerCase() === email && !one.deleted);
      if (person === undefined) throw new ApiError('users_not_found');
      return { user: userJson(workspace, person, true) };
    }),
  ],
  [
    'usergroups.list',
    method(2, ['usergroups:read'], ({ workspace }, args) => {
      const groups = [...workspace.groups.values()].filter((group) => !group.disabled || args.flag('include_disabled'));
      return { usergroups: groups.map((group) => groupJson(workspace, group, args.flag('include_users'))) };
    }),
  ],
  [
    'usergroups.users.list',
    method(2, ['usergroups:read'], ({ workspace }, args) => {
      const group = workspace.groups.get(args.need('usergroup'));
      if (group === undefined || (group.disabled && !args.flag('include_disabled')))
        throw new ApiError('no_such_subteam');
      return { users: [...group.users] };
    }),
  ],
  ['views.open', method(4, [], openOrPush('open'))],
  ['views.push', method(4, [], openOrPush('push'))],
  [
    'views.update',
    method(4, [], ({ workspace }, args) => {
      const raw = viewArgument(args);
      const view = viewNamed(workspace, args);
      const hash = args.text('hash');
      if (hash !== undefined && hash !== view.hash) throw new ApiError('hash_conflict');
      return { view: updateView(workspace, view, raw) };
    }),
  ],
  [
    'views.publish',
    method(4, [], ({ workspace }, args) => {
      const raw = viewArgument(args);
      const user = args.need('user_id');
      if (!workspace.people.has(user)) throw new ApiError('user_not_found');
      const hash = args.text('hash');
      if (hash !== undefined && hash !== workspace.homes.get(user)?.hash) throw new ApiError('hash_conflict');
      return { view: publishHome(workspace, user, raw) };
    }),
  ],
];
