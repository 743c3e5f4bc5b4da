/** PostgreSQL wire: bytes to messages and back. Knows no policy. (protocol 3.0/3.2, "Message Formats") */

/** One message, or one piece of a message too large to hold whole. `bytes` are raw, header included in the first piece. */
export type Frame = {
  /** ASCII code of the type byte. */
  readonly type: number;
  readonly bytes: Buffer;
  /** Whole messages have both; a large CopyData or DataRow comes as first … last. */
  readonly first: boolean;
  readonly last: boolean;
};
