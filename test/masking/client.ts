/** A client that keeps every byte a server says, in the order it came: rows, labels, tags, reports, settings, copies. */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import * as build from '../../gateway/listeners/postgres/builders.ts';

export type Target = {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
};

export type Field = {
  readonly label: string;
  readonly table: number;
  readonly column: number;
  readonly type: number;
  readonly format: number;
};
export type Cell = Buffer | null;
export type Result = {
  /** Undefined: nobody described it. */
  fields: readonly Field[] | undefined;
  readonly rows: Cell[][];
  tag: string;
  readonly copied: Buffer[];
};
export type Report = Readonly<Record<string, string>>;

/** All that a client was told. */
export type Evidence = {
  readonly results: Result[];
  readonly errors: Report[];
  readonly notices: Report[];
  readonly settings: [name: string, value: string][];
  readonly notified: [channel: string, payload: string][];
  readonly functionValues: Buffer[];
  /** Everything else, as it came. */
  readonly others: Buffer[];
  /** One letter a message, in order. */
  types: string;
};

export const nothingSeen = (): Evidence => ({
  results: [],
  errors: [],
  notices: [],
  settings: [],
  notified: [],
  functionValues: [],
  others: [],
  types: '',
});

/** How an exchange ended: ready again; waiting for a person; silent for too long; the connection is gone. */
export type End = 'ready' | 'held' | 'silent' | 'closed';

/** What the gateway says while a person is asked. */
export const HOLD_NOTICE = /waiting for approval|held for approval|is held/i;

export class LabClient {
  #evidence: Evidence = nothingSeen();
  readonly #socket: Socket;
  #rest: Buffer = Buffer.alloc(0);
  #current: Result | undefined;
  #wake: () => void = () => undefined;
  #closed = false;
  #ready = 0;
  #expected = 1;
  #held = false;
  #key: { pid: number; secret: Buffer } | undefined;
  #copyIn: { text: string; sync: boolean } | undefined;
  #scram: Scram | undefined;
  readonly #target: Target;

  private constructor(socket: Socket, target: Target) {
    this.#socket = socket;
    this.#target = target;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#closed = true;
      this.#wake();
    });
  }

  /** @param settings of the start-up packet, beside user and database. Resolves also when the server refused: see `evidence`. */
  static async open(target: Target, settings: Readonly<Record<string, string>> = {}, ms = 5_000): Promise<LabClient> {
    const socket = await new Promise<Socket>((resolve, reject) => {
      const made = connect({ host: target.host, port: target.port, noDelay: true }, () => resolve(made));
      made.once('error', reject);
    });
    const client = new LabClient(socket, target);
    socket.write(build.startup(new Map(Object.entries({ user: target.user, database: target.database, ...settings }))));
    await client.settled(ms);
    return client;
  }

  /** All it was told since it was opened, or since the last `forget`. */
  get evidence(): Evidence {
    return this.#evidence;
  }

  forget(): void {
    this.#evidence = nothingSeen();
    this.#current = undefined;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Sends bytes that end in `ready` ReadyForQuery messages. @param copyIn answered to a CopyInResponse, which swallows a Sync */
  async send(bytes: Buffer, ready: number, ms: number, copyIn?: { text: string; sync: boolean }): Promise<End> {
    this.#expected = this.#ready + ready;
    this.#held = false;
    this.#copyIn = copyIn;
    if (!this.#closed) this.#socket.write(bytes);
    return await this.settled(ms);
  }

  /** Waits until all expected answers came, a hold was announced, or `ms` went by. */
  async settled(ms: number): Promise<End> {
    const deadline = performance.now() + ms;
    for (;;) {
      if (this.#ready >= this.#expected) return 'ready';
      if (this.#closed) return 'closed';
      if (this.#held) return 'held';
      const left = deadline - performance.now();
      if (left <= 0) return 'silent';
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        timer = setTimeout(resolve, left);
      });
      clearTimeout(timer);
    }
  }

  /** What Ctrl-C does: a CancelRequest on a connection of its own; then waits for the answer. */
  async cancel(ms: number): Promise<End> {
    const key = this.#key;
    if (!key || this.#closed) return 'closed';
    await new Promise<void>((resolve) => {
      const other = connect({ host: this.#target.host, port: this.#target.port }, () =>
        other.end(build.cancelRequest(key.pid, key.secret)),
      );
      other.on('error', () => resolve());
      other.on('data', () => undefined);
      other.on('close', () => resolve());
    });
    this.#held = false;
    return await this.settled(ms);
  }

  close(): void {
    if (!this.#closed) this.#socket.end(build.terminate());
    setTimeout(() => this.#socket.destroy(), 500).unref();
  }

  #take(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (this.#rest.length - at >= 5) {
      const length = this.#rest.readUInt32BE(at + 1);
      if (this.#rest.length - at < length + 1) break;
      this.#message(String.fromCharCode(this.#rest[at]!), this.#rest.subarray(at + 5, at + 1 + length));
      at += length + 1;
    }
    this.#rest = this.#rest.subarray(at);
    this.#wake();
  }

  #result(): Result {
    this.#current ??= { fields: undefined, rows: [], tag: '', copied: [] };
    if (!this.evidence.results.includes(this.#current)) this.evidence.results.push(this.#current);
    return this.#current;
  }

  #message(type: string, body: Buffer): void {
    const { evidence } = this;
    if (evidence.types.length < 10_000) evidence.types += type;
    switch (type) {
      case 'R':
        this.#authenticate(body);
        return;
      case 'K':
        this.#key = { pid: body.readInt32BE(0), secret: Buffer.from(body.subarray(4)) };
        return;
      case 'S': {
        const [name = '', value = ''] = body.toString('utf8').split('\0');
        evidence.settings.push([name, value]);
        return;
      }
      case 'T':
        this.#current = undefined;
        this.#result().fields = readFields(body);
        return;
      case 'D':
        this.#result().rows.push(readRow(body));
        return;
      case 'd':
        this.#result().copied.push(Buffer.from(body));
        return;
      case 'H':
      case 'W':
        this.#current = undefined;
        this.#result();
        return;
      case 'G':
        if (this.#copyIn) this.#socket.write(build.copyData(Buffer.from(this.#copyIn.text)));
        this.#socket.write(build.copyDone());
        if (this.#copyIn?.sync) this.#socket.write(build.sync());
        return;
      case 'C':
        this.#result().tag = body.toString('utf8').replace('\0', '');
        this.#current = undefined;
        return;
      case 'E':
      case 'N': {
        const report = readReport(body);
        evidence[type === 'E' ? 'errors' : 'notices'].push(report);
        if (type === 'N' && HOLD_NOTICE.test(report.M ?? '')) this.#held = true;
        return;
      }
      case 'A': {
        const [channel = '', payload = ''] = body.subarray(4).toString('utf8').split('\0');
        evidence.notified.push([channel, payload]);
        return;
      }
      case 'V':
        if (body.length > 4) evidence.functionValues.push(Buffer.from(body.subarray(4)));
        return;
      case 'Z':
        this.#current = undefined;
        this.#ready++;
        return;
      case '1':
      case '2':
      case '3':
      case 's':
      case 'n':
      case 'I':
      case 'c':
        return;
      default:
        evidence.others.push(Buffer.from(body));
    }
  }

  #authenticate(body: Buffer): void {
    const { password } = this.#target;
    const message = (bytes: Buffer) => {
      const head = Buffer.from([0x70, 0, 0, 0, 0]);
      head.writeUInt32BE(bytes.length + 4, 1);
      this.#socket.write(Buffer.concat([head, bytes]));
    };
    switch (body.readInt32BE(0)) {
      case 3:
        this.#socket.write(build.password(password));
        return;
      case 10:
        this.#scram = new Scram(password);
        message(this.#scram.first());
        return;
      case 11:
        message(this.#scram!.last(body.subarray(4).toString()));
        return;
    }
  }
}

function readFields(body: Buffer): Field[] {
  let at = 2;
  return Array.from({ length: body.readUInt16BE(0) }, () => {
    const end = body.indexOf(0, at);
    const label = body.toString('utf8', at, end);
    at = end + 19;
    return {
      label,
      table: body.readUInt32BE(end + 1),
      column: body.readInt16BE(end + 5),
      type: body.readUInt32BE(end + 7),
      format: body.readInt16BE(end + 17),
    };
  });
}

function readRow(body: Buffer): Cell[] {
  let at = 2;
  return Array.from({ length: body.readUInt16BE(0) }, () => {
    const length = body.readInt32BE(at);
    at += 4;
    if (length < 0) return null;
    at += length;
    return Buffer.from(body.subarray(at - length, at));
  });
}

function readReport(body: Buffer): Report {
  const fields = body.toString('utf8').split('\0');
  return Object.fromEntries(fields.filter((field) => field !== '').map((field) => [field[0], field.slice(1)]));
}

/** SCRAM-SHA-256, the client's half (RFC 5802). The server's proof is not checked: it is our own. */
class Scram {
  readonly #password: string;
  readonly #nonce = randomBytes(18).toString('base64');

  constructor(password: string) {
    this.#password = password;
  }

  first(): Buffer {
    const text = Buffer.from(`n,,n=*,r=${this.#nonce}`);
    const length = Buffer.alloc(4);
    length.writeInt32BE(text.length);
    return Buffer.concat([Buffer.from('SCRAM-SHA-256\0'), length, text]);
  }

  last(challenge: string): Buffer {
    const said = new Map(challenge.split(',').map((part) => [part[0], part.slice(2)]));
    const salted = pbkdf2Sync(
      this.#password,
      Buffer.from(said.get('s') ?? '', 'base64'),
      Number(said.get('i')),
      32,
      'sha256',
    );
    const hmac = (key: Buffer, text: string) => createHmac('sha256', key).update(text).digest();
    const clientKey = hmac(salted, 'Client Key');
    const unproved = `c=biws,r=${said.get('r')}`;
    const signature = hmac(
      createHash('sha256').update(clientKey).digest(),
      `n=*,r=${this.#nonce},${challenge},${unproved}`,
    );
    const proof = Buffer.from(clientKey.map((byte, at) => byte ^ signature[at]!));
    return Buffer.from(`${unproved},p=${proof.toString('base64')}`);
  }
}
