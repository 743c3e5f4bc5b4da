/** The few pages for whom nobody knows: words and a link. Nothing from outside but what is escaped. Pure. */

/** Text as it may stand in an element or a quoted attribute. */
export const escaped = (text: string): string =>
  text.replace(/[&<>"'`]/g, (character) => `&#${character.charCodeAt(0)};`);

/** A whole page. `body` is markup, its texts already escaped. */
export const plainPage = (title: string, body: string): string =>
  `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>${escaped(title)} · Countersign</title>
<link rel="icon" href="data:,"></head>
<body><main><h1>${escaped(title)}</h1>
${body}
</main></body></html>
`;
