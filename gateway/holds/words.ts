/** What a hold says: to the client that waits, to the one refused, to the one who clicked. Plain sentences. */
import { amount } from '../amount.ts';
import { GatewayError } from '../errors.ts';
import type { Operation, Touched } from '../operation.ts';
import { utc } from './clock.ts';
import type { Hold } from './hold.ts';
import type { ExpiresBy } from './lifecycle.ts';

const CLOCKS: Readonly<Record<ExpiresBy, string>> = {
  rule: 'rule',
  token: 'your token ends then',
  transaction: 'rule, inside a transaction',
};

/** What became of an operation that was not let through, or not to its end. */
export const untouched = ({
  stopped,
}: {
  readonly stopped?: { readonly rows: number; readonly touched?: object | undefined } | undefined;
}): string =>
  stopped?.touched
    ? 'It was rolled back: nothing of it was kept.'
    : stopped
      ? `The first ${amount('rows', stopped.rows)} were sent, the rest was not.`
      : 'Nothing was run.';

/** The same, at the end of a sentence of ours. */
export const restOf = ({ stopped }: Pick<Operation, 'stopped'>): string =>
  stopped?.touched
    ? 'it was rolled back'
    : stopped
      ? `stopped after ${amount('rows', stopped.rows)}`
      : 'nothing was run';

const touchedRows = ({ rows }: Touched): string =>
  rows === undefined ? 'an unknown number of rows' : amount('rows', rows);

const ask = ({ stopped }: Operation): string =>
  stopped?.touched
    ? `touched ${touchedRows(stopped.touched)}, not committed yet: held for confirmation`
    : stopped
      ? `held for approval after ${amount('rows', stopped.rows)}`
      : 'held for approval';

/** `held for approval · a1b2c3 · asking @dba-oncall (1 of 2) · until 14:02:11 UTC (rule) · schema-changes: …` */
export function heldText(hold: Hold, lead = ask(hold.operation)): string {
  const asking = hold.demands
    .map((demand, i) => `${demand.approvers.join(', ')} (${hold.counted[i] ?? 0} of ${demand.quorum})`)
    .join(' and ');
  const rules = hold.demands.map(({ rule, why }) => (why === '' ? rule : `${rule}: ${why}`)).join('; ');
  const until = `until ${utc(hold.deadline.at)} (${CLOCKS[hold.deadline.by]})`;
  // Waiting in the dark would be the worst of it: while no approver sees the card, the client is told why.
  const whom = hold.unseen === undefined ? `asking ${asking}` : `nobody sees it yet, ${hold.unseen}`;
  return `${lead} · ${hold.shortId} · ${whom} · ${until} · ${rules}`;
}

export const rulesOf = (hold: Hold): string => hold.demands.map(({ rule }) => rule).join(', ');

/** One line, whatever a person typed: nothing that could end a line or hide text in a client's terminal. */
export const oneLine = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ').trim();

/** What the waiting client gets when its hold ended without a release. */
export function refusal(hold: Hold): GatewayError {
  const { phase } = hold;
  const about = `(${hold.shortId}, ${rulesOf(hold)})`;
  const rest = untouched(hold.operation);
  switch (phase.kind) {
    case 'denied': {
      const ruled = phase.by.startsWith('rule '); // a rule that came into force while it waited; no person did
      const by = ruled ? phase.by : (hold.names?.get(phase.by) ?? phase.by);
      const reason = oneLine(phase.reason);
      return new GatewayError('DENIED', `denied by ${oneLine(by)}${reason === '' ? '' : `: ${reason}`} ${about}`, {
        hint: ruled
          ? `The rules changed while it waited and deny it now; do not work around them. ${rest}`
          : `A person decided this; do not try again or work around it. Tell whoever asked you, with the reason. ${rest}`,
      });
    }
    case 'expired':
      return new GatewayError('EXPIRED', `nobody decided before ${utc(hold.deadline.at)} ${about}`, {
        hint:
          phase.clock === 'token'
            ? `Your token ended first: get a later one, then ask again. ${rest}`
            : `Ask ${[...new Set(hold.demands.flatMap((demand) => demand.approvers))].join(', ')}, then try again. ${rest}`,
      });
    case 'withdrawn':
      return new GatewayError(phase.code, `${oneLine(phase.reason)} ${about}`, { hint: rest });
    case 'open':
    case 'approved':
    case 'released':
    case 'done':
    case 'unknown':
      return new GatewayError('UNAVAILABLE', `released but not sent ${about}`, {
        hint: 'Check the target before you try again.',
      });
  }
}

/** Why a click comes too late, for the one who clicked. */
export function lateText({
  phase,
  releasedAt,
  stopped,
}: Pick<Hold, 'phase' | 'releasedAt'> & Pick<Operation, 'stopped'>): string {
  const rest = restOf({ stopped });
  switch (phase.kind) {
    case 'open':
      return 'this is still open';
    case 'approved':
      return 'this was approved a moment ago';
    case 'released':
    case 'done':
    case 'unknown':
      return `this was approved and released at ${utc(releasedAt ?? phase.at)}`;
    case 'denied':
      return `this was denied at ${utc(phase.at)}; ${rest}`;
    case 'expired':
      return `this expired at ${utc(phase.at)}; ${rest}`;
    case 'withdrawn':
      return `this was withdrawn at ${utc(phase.at)} (${oneLine(phase.reason)}); ${rest}`;
  }
}
