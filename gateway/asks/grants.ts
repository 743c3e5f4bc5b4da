/** `/gate grants` and `/gate grants revoke`: what passes without asking now, and its end. */
import type { Section } from '../../queue/asks.ts';
import { counted } from '../amount.ts';
import { GatewayError } from '../errors.ts';
import type { Grants } from '../holds/grants.ts';
import type { GrantStore } from '../state/grants.ts';
import type { Answers } from './asks.ts';
import { duration, when } from './words.ts';

const MOST_SHOWN = 40;

export type GrantsAnswersDeps = {
  readonly store: Pick<GrantStore, 'list' | 'used'>;
  readonly grants: Pick<Grants, 'end'>;
  readonly now: () => number;
};

export function grantsAnswers({ store, grants, now }: GrantsAnswersDeps): Pick<Answers, 'grants' | 'revoke'> {
  const alive = async () => {
    try {
      return await store.list();
    } catch (cause) {
      throw new GatewayError('UNAVAILABLE', 'Redis is not reachable: no grant is used, and none can be listed', {
        cause,
      });
    }
  };
  return {
    grants: async (_command, { admin, approver, user, own }) => {
      const seen = (await alive()).filter(
        ({ record }) => admin || approver || own(record.principal, record.sponsor) || grantedBy(record, user),
      );
      const sections: Section[] = [];
      for (const { record: grant } of seen.slice(0, MOST_SHOWN)) {
        const left = Math.max(0, grant.uses - (await store.used(grant)));
        sections.push({
          title: `${grant.name} on ${grant.connection}: ${grant.headline}`,
          lines: [
            `Grant ${grant.id}, ${left} of ${counted(grant.uses, 'use')} left, until ${when(grant.expiresAt)} (${duration(grant.expiresAt - now())})`,
            `Approved by ${grant.by.map(({ name }) => name).join(', ')} for ${grant.demands.map(({ rule }) => rule).join(', ')}`,
          ],
          at: grant.at,
          ...(admin || grantedBy(grant, user)
            ? {
                buttons: [
                  {
                    label: 'Revoke',
                    line: `revoke ${grant.id}`,
                    confirm: `From now on ${grant.name} is asked about again.`,
                    danger: true,
                  },
                ],
              }
            : {}),
        });
      }
      if (seen.length > MOST_SHOWN) sections.push({ lines: [`… and ${seen.length - MOST_SHOWN} more.`] });
      return { ok: true, text: sections.length > 0 ? '' : 'Nothing passes by a grant now.', sections };
    },

    revoke: async ({ grant: id }, { admin, user, name }) => {
      const found = (await alive()).find(({ record }) => record.id === id);
      // Who may not end it is not told whether it is there.
      if (!found || !(admin || grantedBy(found.record, user))) {
        const text = `There is no grant ${id} that you can revoke: it has ended, or only admins and those who granted it can.`;
        return { ok: false, text };
      }
      if (!(await grants.end(found.name, found, `revoked by ${name}`))) {
        return { ok: false, text: `Grant ${id} ended a moment ago.` };
      }
      return { ok: true, text: `Grant ${id} is revoked: ${found.record.name} is asked about again.` };
    },
  };
}

const grantedBy = ({ by }: { readonly by: readonly { readonly user: string }[] }, user: string): boolean =>
  by.some((one) => one.user === user);
