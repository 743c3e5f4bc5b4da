/** The workspace everything starts with: four people, two groups, two channels, one app's scopes. */
import { BOT, type WorkspaceSpec } from './workspace.ts';

export const TEAM: WorkspaceSpec['team'] = { id: 'T0COUNTERSIGN', name: 'Acme', domain: 'acme' };

export const DEFAULT_PEOPLE: WorkspaceSpec['people'] = [
  { id: 'U0ALICE', name: 'alice', real_name: 'Alice Moreau', title: 'Database engineer', is_admin: true },
  { id: 'U0BOB', name: 'bob', real_name: 'Bob Okafor', title: 'Revenue analyst' },
  { id: 'U0CAROL', name: 'carol', real_name: 'Carol Lindqvist', title: 'Platform lead' },
  { id: 'U0GUEST', name: 'guest', real_name: 'Gus Guest', title: 'Contractor', is_restricted: true },
];

export const DEFAULT_GROUPS: WorkspaceSpec['groups'] = [
  { id: 'S0DBA', handle: 'dba-oncall', name: 'DBA on call', users: ['U0ALICE', 'U0CAROL'] },
  { id: 'S0ADMINS', handle: 'gate-admins', name: 'Gate admins', users: ['U0ALICE', 'U0CAROL'] },
];

const EVERYONE = ['U0ALICE', 'U0BOB', 'U0CAROL', 'U0GUEST'];

export const DEFAULT_CHANNELS: WorkspaceSpec['channels'] = [
  {
    id: 'C0APPROVALS',
    name: 'approvals',
    members: [...EVERYONE, BOT.user],
    topic: 'What is risky waits here for a click',
  },
  { id: 'C0GENERAL', name: 'general', members: ['U0ALICE', 'U0BOB', 'U0CAROL'], topic: 'Company-wide' },
];

/** What manifests/slack-app asks for, and the history that lets a bot find a card after a lost reply. */
export const BOT_SCOPES = [
  'chat:write',
  'users:read',
  'users:read.email',
  'usergroups:read',
  'im:write',
  'im:history',
  'channels:read',
  'groups:read',
  'channels:history',
  'groups:history',
  'commands',
];
