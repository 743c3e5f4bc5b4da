/** What people do: click, command, submit, close, open Home. Builds Slack's payloads, delivers them, applies the answers. */
import { ApiError } from './api.ts';
import { viewErrors } from './blocks.ts';
import { type Answer, type Delivery, type EnvelopeType, newVerificationToken } from './delivery.ts';
import { actionOf, findElement } from './find.ts';
import { messageJson } from './messages.ts';
import { respond } from './respond.ts';
import { ResponseUrls, Triggers } from './triggers.ts';
import { closeView, fillIn, openView, updateView, viewJson } from './views.ts';
import { BOT, type Json, type Message, type Person, type View, type Workspace } from './workspace.ts';

/** A refusal of the emulator itself: what a person could not have done in Slack's own client. */
export class NotPossible extends Error {}

export type Reply = { ok: true } | { ok: false; error: string; errors?: Record<string, string> };

export interface Click {
  user: string;
  channel?: string | undefined;
  ts?: string | undefined;
  view_id?: string | undefined;
  action_id: string;
  block_id?: string | undefined;
  value?: string | undefined;
  /** What is typed into a modal when the button is clicked. */
  values?: Json | undefined;
}

export class Interactions {
  readonly triggers: Triggers;
  readonly responseUrls: ResponseUrls;
  readonly #workspace: Workspace;
  readonly #delivery: Delivery;
  readonly #base: () => string;
  readonly #token = newVerificationToken();

  constructor(workspace: Workspace, delivery: Delivery, base: () => string) {
    this.#workspace = workspace;
    this.#delivery = delivery;
    this.#base = base;
    this.triggers = new Triggers(workspace.now);
    this.responseUrls = new ResponseUrls(workspace.now);
  }

  async click(click: Click): Promise<Reply> {
    const person = this.#actor(click.user);
    const where = click.view_id === undefined ? this.#onMessage(click) : this.#onView(click, click.view_id);
    const found = findElement(where.blocks, click.action_id, click.block_id);
    if (found === undefined) throw new NotPossible(`no element with action_id ${click.action_id} there now`);
    const action = {
      ...actionOf(found.element, click.value),
      block_id: found.blockId,
      action_ts: this.#workspace.nextTs(),
    };
    if (where.view !== undefined && click.values !== undefined) fillIn(where.view, click.values);
    const payload = {
      type: 'block_actions',
      ...this.#frame(person),
      trigger_id: this.triggers.issue(person.id),
      ...where.context(),
      actions: [action],
    };
    return this.#reply(await this.#send('interactive', payload));
  }

  async command(input: { user: string; channel: string; command: string; text: string }): Promise<Reply> {
    const person = this.#actor(input.user);
    const { team, app } = this.#workspace;
    const channel = this.#workspace.channels.get(input.channel);
    if (channel === undefined || !channel.members.includes(person.id))
      throw new NotPossible('not a member of that channel');
    if (!app.scopes.includes('commands')) throw new NotPossible('the app has no slash commands');
    const payload = {
      token: this.#token,
      team_id: team.id,
      team_domain: team.domain,
      channel_id: channel.id,
      channel_name: channel.kind === 'public' ? channel.name : channel.kind === 'im' ? 'directmessage' : 'privategroup',
      user_id: person.id,
      user_name: person.name,
      command: input.command,
      text: this.#escaped(input.text),
      api_app_id: BOT.app,
      is_enterprise_install: 'false',
      response_url: this.#base() + this.responseUrls.issue({ user: person.id, channel: channel.id }, team.id),
      trigger_id: this.triggers.issue(person.id),
    };
    const answer = await this.#send('slash_commands', payload);
    if (answer.ok && (answer.body.text !== undefined || answer.body.blocks !== undefined)) {
      const error = respond(this.#workspace, { user: person.id, channel: channel.id }, answer.body);
      if (error !== undefined) return { ok: false, error };
    }
    return this.#reply(answer);
  }

  async submit(input: { user: string; view_id: string; values: Json }): Promise<Reply> {
    const person = this.#actor(input.user);
    const view = this.#openView(person.id, input.view_id);
    if (view.submit === null || view.submit_disabled === true) throw new NotPossible('this view cannot be submitted');
    const errors = fillIn(view, input.values);
    if (Object.keys(errors).length > 0) return { ok: false, error: 'input_refused', errors };
    const payload = {
      type: 'view_submission',
      ...this.#frame(person),
      trigger_id: this.triggers.issue(person.id),
      view: viewJson(view),
      response_urls: [],
    };
    const answer = await this.#send('interactive', payload);
    return answer.ok ? this.#applySubmission(view, answer.body) : this.#reply(answer);
  }

  #applySubmission(view: View, body: Json): Reply {
    const action = body.response_action;
    if (action === undefined) {
      closeView(this.#workspace, view, false);
      return { ok: true };
    }
    if (action === 'clear') {
      closeView(this.#workspace, view, true);
      return { ok: true };
    }
    if (action === 'errors') {
      const errors = (body.errors ?? {}) as Record<string, string>;
      const inputs = new Set(view.blocks.filter((block) => block.type === 'input').map((block) => block.block_id));
      if (Object.keys(errors).some((id) => !inputs.has(id))) return { ok: false, error: 'invalid_response_errors' };
      return { ok: false, error: 'response_errors', errors };
    }
    if (action !== 'update' && action !== 'push') return { ok: false, error: 'invalid_response_action' };
    const wrong = viewErrors(body.view);
    if (wrong !== undefined) return { ok: false, error: `${wrong.error}: ${wrong.messages.join('; ')}` };
    try {
      if (action === 'update') updateView(this.#workspace, view, body.view as Json);
      else openView(this.#workspace, view.user, body.view as Json, 'push');
    } catch (error) {
      if (error instanceof ApiError) return { ok: false, error: error.code };
      throw error;
    }
    return { ok: true };
  }

  /** Cancel (`whole` false) or the cross (`whole` true). */
  async close(input: { user: string; view_id: string; whole?: boolean | undefined }): Promise<Reply> {
    const person = this.#actor(input.user);
    const view = this.#openView(person.id, input.view_id);
    closeView(this.#workspace, view, input.whole ?? false);
    if (view.notify_on_close !== true) return { ok: true };
    const payload = {
      type: 'view_closed',
      ...this.#frame(person),
      view: viewJson(view),
      is_cleared: input.whole ?? false,
    };
    return this.#reply(await this.#send('interactive', payload));
  }

  #send(type: EnvelopeType, payload: Json): Promise<Answer> {
    return this.#delivery.deliver(type, payload);
  }

  #reply(answer: Answer): Reply {
    return answer.ok ? { ok: true } : { ok: false, error: answer.error };
  }

  #actor(user: string): Person {
    const person = this.#workspace.people.get(user);
    if (person === undefined) throw new NotPossible(`no such person: ${user}`);
    if (person.deleted) throw new NotPossible(`${user} is deactivated and cannot sign in`);
    return person;
  }

  #openView(user: string, id: string): View {
    const view = this.#workspace.modal(id);
    if (view === undefined || view.user !== user) throw new NotPossible('that view is not open');
    if (this.#workspace.stack(user).at(-1) !== view) throw new NotPossible('another view is open above that one');
    return view;
  }

  #frame(person: Person): Json {
    const { team } = this.#workspace;
    return {
      user: { id: person.id, username: person.name, name: person.name, team_id: person.team_id },
      team: { id: team.id, domain: team.domain },
      enterprise: null,
      is_enterprise_install: false,
      api_app_id: BOT.app,
      token: this.#token,
    };
  }

  #onMessage(click: Click): { blocks: Json[]; view?: View; context: () => Json } {
    const channel = this.#workspace.channels.get(click.channel ?? '');
    if (channel === undefined || !channel.members.includes(click.user))
      throw new NotPossible('not a member of that channel');
    const message = this.#workspace.message(channel.id, click.ts ?? '');
    if (message === undefined) throw new NotPossible('no such message');
    if (message.ephemeral !== undefined && message.ephemeral !== click.user) throw new NotPossible('no such message');
    if (message.bot_id !== BOT.bot) throw new NotPossible('that message is not of this app');
    return { blocks: message.blocks ?? [], context: () => this.#messageContext(message, click.user) };
  }

  #messageContext(message: Message, user: string): Json {
    const channel = this.#workspace.channels.get(message.channel);
    const ephemeral = message.ephemeral !== undefined;
    const target = { user, channel: message.channel, ts: message.ts };
    return {
      container: { type: 'message', message_ts: message.ts, channel_id: message.channel, is_ephemeral: ephemeral },
      channel: { id: message.channel, name: channel?.kind === 'im' ? 'directmessage' : (channel?.name ?? '') },
      ...(ephemeral ? {} : { message: messageJson(this.#workspace, message, true) }),
      state: { values: {} },
      response_url: this.#base() + this.responseUrls.issue(target, this.#workspace.team.id),
    };
  }

  #onView(click: Click, id: string): { blocks: Json[]; view: View; context: () => Json } {
    const home = this.#workspace.homes.get(click.user);
    const view = home?.id === id ? home : this.#openView(click.user, id);
    return {
      blocks: view.blocks,
      view,
      context: () => ({ container: { type: 'view', view_id: view.id }, view: viewJson(view) }),
    };
  }

  /** Text of a command as the app gets it: `&<>` escaped; mentions as ids when the app asked for that. */
  #escaped(text: string): string {
    const safe = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
    if (!this.#workspace.app.shouldEscape) return safe;
    return safe.replace(/[@#][\w.-]{1,80}/g, (mention) => {
      const name = mention.slice(1);
      if (mention.startsWith('#')) {
        const channel = [...this.#workspace.channels.values()].find(
          (one) => one.name === name && one.kind === 'public',
        );
        return channel === undefined ? mention : `<#${channel.id}|${channel.name}>`;
      }
      const person = [...this.#workspace.people.values()].find((one) => one.name === name);
      if (person !== undefined) return `<@${person.id}|${person.name}>`;
      const group = [...this.#workspace.groups.values()].find((one) => one.handle === name);
      return group === undefined ? mention : `<!subteam^${group.id}|@${group.handle}>`;
    });
  }
}
