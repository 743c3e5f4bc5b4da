/** The Events API: what changes in the workspace is told to the app, again until it is acknowledged. */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Delivery } from './delivery.ts';
import { groupJson, userJson } from './methods-people.ts';
import { viewJson } from './views.ts';
import { BOT, type Json, type Workspace } from './workspace.ts';

/** Slack tries again at once, after a minute, after five. */
const RETRY_AFTER_MS = [0, 60_000, 300_000];

const NEEDS: Record<string, string> = {
  user_change: 'users:read',
  team_join: 'users:read',
  subteam_members_changed: 'usergroups:read',
  subteam_updated: 'usergroups:read',
};

export class Events {
  readonly #workspace: Workspace;
  readonly #delivery: Delivery;
  readonly #stopped = new AbortController();

  constructor(workspace: Workspace, delivery: Delivery) {
    this.#workspace = workspace;
    this.#delivery = delivery;
  }

  userChanged(user: string, type: 'user_change' | 'team_join' = 'user_change'): void {
    const person = this.#workspace.people.get(user);
    if (person === undefined) return;
    const withEmail = this.#workspace.app.scopes.includes('users:read.email');
    this.#emit({ type, user: userJson(this.#workspace, person, withEmail), cache_ts: this.#workspace.seconds() });
  }

  groupChanged(id: string, added: string[], removed: string[]): void {
    const group = this.#workspace.groups.get(id);
    if (group === undefined) return;
    this.#emit({
      type: 'subteam_members_changed',
      subteam_id: id,
      team_id: this.#workspace.team.id,
      date_previous_update: group.updated,
      date_update: this.#workspace.seconds(),
      added_users: added,
      added_users_count: added.length,
      removed_users: removed,
      removed_users_count: removed.length,
    });
    this.#emit({ type: 'subteam_updated', subteam: groupJson(this.#workspace, group, true) });
  }

  homeOpened(user: string, tab: 'home' | 'messages'): void {
    const view = this.#workspace.homes.get(user);
    this.#emit({
      type: 'app_home_opened',
      user,
      channel: this.#workspace.openIm(user).id,
      tab,
      ...(view === undefined ? {} : { view: viewJson(view) }),
      event_ts: this.#workspace.nextTs(),
    });
  }

  #emit(event: Json): void {
    const needed = NEEDS[String(event.type)];
    if (needed !== undefined && !this.#workspace.app.scopes.includes(needed)) return;
    const payload: Json = {
      token: randomBytes(12).toString('hex'),
      team_id: this.#workspace.team.id,
      context_team_id: this.#workspace.team.id,
      context_enterprise_id: null,
      api_app_id: BOT.app,
      event: { event_ts: this.#workspace.nextTs(), ...event },
      type: 'event_callback',
      event_id: this.#workspace.newId('Ev'),
      event_time: this.#workspace.seconds(),
      authorizations: [
        {
          enterprise_id: null,
          team_id: this.#workspace.team.id,
          user_id: BOT.user,
          is_bot: true,
          is_enterprise_install: false,
        },
      ],
      is_ext_shared_channel: false,
    };
    void this.#deliver(payload).catch(() => undefined); // only an abort at stop ends up here
  }

  async #deliver(payload: Json): Promise<void> {
    const first = await this.#delivery.deliver('events_api', payload);
    let last = first;
    for (const [index, wait] of RETRY_AFTER_MS.entries()) {
      if (last.ok) return;
      await delay(wait, undefined, { signal: this.#stopped.signal, ref: false });
      const reason = last.error === 'operation_timeout' ? 'timeout' : 'connection_failed';
      last = await this.#delivery.deliver('events_api', payload, { attempt: index + 1, reason });
    }
  }

  stop(): void {
    this.#stopped.abort();
  }
}
