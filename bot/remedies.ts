/** What the operator can do about a refusal of Slack's, in a sentence. Pure. */

const REMEDIES: Readonly<Record<string, string>> = {
  not_in_channel: 'the bot is not in the channel: invite it with /invite',
  channel_not_found: 'there is no such channel, or the bot was not invited to it',
  is_archived: 'the channel is archived',
  is_inactive: 'the channel is frozen',
  shared: 'the channel is shared with another organisation: cards are not posted where strangers read',
  missing_scope: 'the Slack app lacks a scope: `countersign check --slack` names it',
};

export const remedy = (code: string): string => REMEDIES[code] ?? `Slack says ${code}`;
