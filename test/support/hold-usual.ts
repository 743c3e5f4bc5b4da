/** The hold stage as most tests want it: one rule, three people in its group, a bot that answers, a trail that writes. */
import { demand, type HoldStage, holding } from './hold-stage.ts';

export function asUsual(stage: HoldStage): void {
  stage.settings.policy = holding(demand());
  stage.settings.people = [];
  stage.settings.oidc = {};
  stage.settings.breakGlass = [];
  stage.settings.revoked = [];
  stage.workspace.groups = { '@dba-oncall': { id: 'S0DBA', members: ['U0ALICE', 'U0CAROL', 'U0BOB'] } };
  stage.workspace.people = {};
  stage.workspace.answers = { directory: true, attest: true };
  stage.audit.fails = () => false;
}
