/** What somebody who signed in is here: admin, approver, or neither. Worked out for each request, by what is known now. */
import { accountsBehind, type LinkedPerson } from '../holds/linked.ts';
import type { People } from '../holds/people.ts';
import { isGroupName } from '../holds/quorum.ts';
import { groupNamed } from '../identity/groups.ts';
import type { Principal } from '../operation.ts';
import type { SignedIn } from './guard.ts';

const KNOWN_MS = 1_500; // a page waits this long for Slack to say who is in a group
const AGAIN_MS = 10_000; // and not again for so long, where nobody answered

export type RolesDeps = {
  readonly people: Pick<People, 'members' | 'known'>;
  /** `identity.people` and `identity.issuers` of the configuration. */
  readonly linked: () => readonly LinkedPerson[];
  readonly issuers: () => readonly { readonly issuer: string; readonly groups?: string | undefined }[];
  readonly admins: () => readonly string[];
  /** Every approver that any rule or default names. */
  readonly approvers: () => readonly string[];
};

/** Never rejects: a group of which nothing is known now makes nobody anything, and is told. */
export function createRoles(deps: RolesDeps): (principal: Principal) => Promise<Pick<SignedIn, 'viewer' | 'unread'>> {
  const { people, linked, issuers } = deps;
  let waited = Number.NEGATIVE_INFINITY;

  const known = async (groups: readonly string[]): Promise<void> => {
    if (groups.every((name) => people.members(name) !== undefined)) return;
    if (performance.now() - waited < AGAIN_MS) return;
    waited = performance.now();
    const asked = people.known(groups).then(() => true);
    if (await Promise.race([asked, after(KNOWN_MS)])) waited = Number.NEGATIVE_INFINITY;
  };

  return async ({ issuer, subject, name, groups }) => {
    const slack = accountsBehind(linked(), { issuer, subject });
    const [admins, approvers] = [deps.admins(), deps.approvers()];
    if (slack.length > 0) await known([...new Set([...admins, ...approvers])].filter(isGroupName));

    /** Undefined where it is not known. */
    const isOf = (named: string): boolean | undefined => {
      if (named.startsWith('oidc:')) {
        const meant = groupNamed(named.slice('oidc:'.length), issuers());
        return meant.issuer === issuer && groups.includes(meant.group);
      }
      if (!isGroupName(named)) return slack.includes(named);
      if (slack.length === 0) return false;
      return people.members(named)?.some((member) => slack.includes(member));
    };
    const among = (list: readonly string[]) => ({
      yes: list.some((named) => isOf(named) === true),
      unread: list.filter((named) => isOf(named) === undefined),
    });
    const [admin, approver] = [among(admins), among(approvers)];
    const unread = admin.yes ? [] : [...new Set([...admin.unread, ...(approver.yes ? [] : approver.unread)])];
    return { viewer: { issuer, subject, name, slack, admin: admin.yes, approver: approver.yes }, unread };
  };
}

const after = (ms: number): Promise<false> =>
  new Promise((resolve) => {
    setTimeout(() => resolve(false), ms).unref();
  });
