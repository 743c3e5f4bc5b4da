/** Small checks that collect errors in Slack's wording, each with the JSON pointer of what is wrong. */

interface Length {
  max: number;
  /** Default 1. */
  min?: number;
  optional?: boolean;
}

const MAX_ERRORS = 20;

export class Form {
  readonly errors: string[] = [];

  fail(message: string, at: string): void {
    if (this.errors.length < MAX_ERRORS) this.errors.push(`[ERROR] ${message} [json-pointer:${at}]`);
  }

  object(value: unknown, at: string): Record<string, unknown> | undefined {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
    this.fail('must provide an object', at);
    return undefined;
  }

  keys(fields: Record<string, unknown>, allowed: readonly string[], at: string): void {
    for (const key of Object.keys(fields)) {
      if (!allowed.includes(key)) this.fail(`invalid additional property: ${key.slice(0, 100)}`, at);
    }
  }

  /** A string within its length, counted in UTF-16 units: never fewer than Slack counts. */
  string(fields: Record<string, unknown>, key: string, at: string, length: Length): void {
    const value = fields[key];
    if (value === undefined) {
      if (length.optional !== true) this.fail(`missing required field: ${key}`, at);
      return;
    }
    this.#length(value, length, `${at}/${key}`);
  }

  #length(value: unknown, { max, min = 1 }: Length, at: string): void {
    if (typeof value !== 'string') {
      this.fail('must provide a string', at);
      return;
    }
    if (value.length < min) this.fail(`must be more than ${min - 1} characters`, at);
    if (value.length > max) this.fail(`must be less than ${max + 1} characters`, at);
  }

  boolean(fields: Record<string, unknown>, key: string, at: string): void {
    if (fields[key] !== undefined && typeof fields[key] !== 'boolean')
      this.fail('must provide a boolean', `${at}/${key}`);
  }

  integer(fields: Record<string, unknown>, key: string, at: string, min: number, max: number): void {
    const value = fields[key];
    if (value === undefined) return;
    if (!Number.isInteger(value) || (value as number) < min || (value as number) > max) {
      this.fail(`must be an integer from ${min} to ${max}`, `${at}/${key}`);
    }
  }

  oneOf(fields: Record<string, unknown>, key: string, values: readonly unknown[], at: string): void {
    if (fields[key] !== undefined && !values.includes(fields[key])) {
      this.fail(`must be a valid enum value: ${values.join(', ')}`, `${at}/${key}`);
    }
  }

  url(fields: Record<string, unknown>, key: string, at: string): void {
    this.string(fields, key, at, { max: 3000 });
    if (typeof fields[key] === 'string' && !URL.canParse(fields[key])) this.fail('must be a valid URL', `${at}/${key}`);
  }

  /** A text object: plain_text or mrkdwn. */
  text(fields: Record<string, unknown>, key: string, at: string, rule: Length & { plain?: boolean }): void {
    if (fields[key] === undefined) {
      if (rule.optional !== true) this.fail(`missing required field: ${key}`, at);
      return;
    }
    this.textAt(fields[key], `${at}/${key}`, rule);
  }

  textAt(value: unknown, at: string, rule: Length & { plain?: boolean }): void {
    const fields = this.object(value, at);
    if (fields === undefined) return;
    if (fields.type === 'plain_text') {
      this.keys(fields, ['type', 'text', 'emoji'], at);
      this.boolean(fields, 'emoji', at);
    } else if (fields.type === 'mrkdwn' && rule.plain !== true) {
      this.keys(fields, ['type', 'text', 'verbatim'], at);
      this.boolean(fields, 'verbatim', at);
    } else {
      this.fail(`must be a valid enum value: plain_text${rule.plain === true ? '' : ', mrkdwn'}`, `${at}/type`);
    }
    this.string(fields, 'text', at, { max: rule.max });
  }

  list(
    fields: Record<string, unknown>,
    key: string,
    at: string,
    count: Length,
    each: (item: unknown, at: string) => void,
  ): void {
    const value = fields[key];
    if (value === undefined) {
      if (count.optional !== true) this.fail(`missing required field: ${key}`, at);
      return;
    }
    const here = `${at}/${key}`;
    if (!Array.isArray(value)) {
      this.fail('must provide an array', here);
      return;
    }
    if (value.length < (count.min ?? 1)) this.fail(`no fewer than ${count.min ?? 1} items allowed`, here);
    if (value.length > count.max) this.fail(`no more than ${count.max} items allowed`, here);
    for (const [index, item] of value.entries()) each(item, `${here}/${index}`);
  }
}
