/** What the server pushes to the page, and what the page asks of it. */

export type Fields = Record<string, unknown>;

export interface Person {
  id: string;
  name: string;
  real_name: string;
  title: string;
  deleted: boolean;
  is_bot: boolean;
  is_restricted: boolean;
}

export interface Message {
  ts: string;
  thread_ts?: string;
  user: string;
  ours: boolean;
  app: boolean;
  username?: string;
  text: string;
  blocks?: Fields[];
  edited: boolean;
  ephemeral: boolean;
}

export interface Channel {
  id: string;
  name: string;
  kind: 'public' | 'private' | 'im';
  topic: string;
  members: string[];
  messages: Message[];
}

export interface View extends Fields {
  id: string;
  blocks: Fields[];
  state: { values: Values };
}

export type Values = Record<string, Record<string, Fields>>;

export interface Snapshot {
  team: { id: string; name: string };
  app: { user: string; name: string; im: string };
  me: string;
  terminal: boolean;
  people: Person[];
  groups: { id: string; handle: string; users: string[] }[];
  channels: Channel[];
  views: View[];
  home: View | null;
}

export interface Reply {
  ok: boolean;
  error?: string;
  errors?: Record<string, string>;
}

/** Does what a person does; answers once the app has acknowledged. */
export async function act(name: string, body: Fields): Promise<Reply> {
  try {
    const response = await fetch(`/control/${name}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return (await response.json()) as Reply;
  } catch {
    return { ok: false, error: 'The workspace is not reachable.' };
  }
}

export const textOf = (value: unknown): string => {
  if (typeof value === 'object' && value !== null && 'text' in value) return String(value.text);
  return '';
};

/** What a toast says for an error code. */
export function explained(error: string | undefined): string {
  switch (error) {
    case 'operation_timeout':
      return 'Countersign did not answer in time. Try again.';
    case 'dispatch_failed':
      return 'Countersign is not connected right now. Try again in a moment.';
    default:
      return error ?? 'That did not work.';
  }
}
