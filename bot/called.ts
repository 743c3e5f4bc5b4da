/** Slack ids in sentences of the gateway's, said as people and groups are called. Pure. */

const IDS = /(?<![\w@#])[SUW][A-Z0-9]{2,30}(?!\w)/g;

/** What may be Slack ids in it: other words look like them, too, and nobody is called by those. */
export const idsIn = (text: string): string[] => [...new Set(text.match(IDS) ?? [])];

/** `quoted`: what a person calls themself cannot pass for words of the sentence. A group's handle is an admin's. */
export const calledIn = (text: string, called: ReadonlyMap<string, string>, { quoted = false } = {}): string =>
  text.replace(IDS, (id) => {
    const name = called.get(id);
    return name === undefined ? id : quoted && !name.startsWith('@') ? `“${name.replace(/[“”"]/g, '')}”` : name;
  });
