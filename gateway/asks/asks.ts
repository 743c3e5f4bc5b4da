/** The contract of this room: what people ask with `/gate`, who they are to this gateway, what they are answered. */
import type { Answer, GateCommand, Section } from '../../queue/asks.ts';

/** Somebody whom Slack attested just now, and what that makes them here. */
export type Asker = {
  readonly user: string;
  readonly team: string;
  readonly name: string;
  /** In `approvals.admins`: may change things. Sees everything. */
  readonly admin: boolean;
  /** Named as approver by any rule or default: sees everything. */
  readonly approver: boolean;
  /** Keys (`issuer#subject`) of the principals linked to them, and of the agents they answer for. */
  readonly own: (principal: string, sponsor: string | undefined) => boolean;
  /** Where they asked. */
  readonly channel: string;
  /** The ask's id: what is audited of it carries this. */
  readonly ask: string;
};

export type Said = Pick<Answer, 'ok' | 'text' | 'simulated' | 'form' | 'part' | 'at'> & {
  readonly sections?: readonly Section[];
};

type Of<D extends GateCommand['do']> = Extract<GateCommand, { do: D }>;

/** Each answers one subcommand; it may throw GatewayError, whose message the asker then sees. */
export type Answers = { readonly [D in GateCommand['do']]: (command: Of<D>, asker: Asker) => Promise<Said> };

/** A change that a second admin has to approve: asked on a card like any held operation. */
export type Change = {
  readonly asker: Asker;
  /** `Loosen rule exports: holds above 1,000 rows, now above 50,000`. */
  readonly headline: string;
  /** What is approved, to the letter: the lines before and after. */
  readonly text: string;
  /** It is of rules and of principals alone: shown as it is, for a masked name would hide what changes. */
  readonly asIs?: true;
  readonly risks: readonly string[];
  /** Said under the rule `second-admin` on the card. */
  readonly why: string;
  /** Runs once it is approved; what it resolves to becomes the card's outcome. */
  readonly apply: (approvedBy: readonly string[]) => Promise<string>;
  /** Why there is nothing left to decide, once that is so; asked whenever what it is about may have changed. */
  readonly moot?: () => string | undefined;
  /** What the card offers once it is done. */
  readonly offers?: readonly { readonly label: string; readonly line: string; readonly confirm?: string }[];
};

/** Resolves with the short id of the card when it is on its way. @throws GatewayError NO_APPROVER | UNAVAILABLE | LIMIT */
export type Propose = (change: Change) => Promise<string>;
