/** How what a session asks about can be looked at further: with its names, beside its process on the target. */
import type { AdmitContext } from '../../../gate.ts';
import type { SessionDeps } from './contract.ts';

/** Undefined where nobody can be asked. `searchPath`: as it is when asked. */
export function reachIn(
  { reach, inspector, upstream }: SessionDeps,
  searchPath: () => readonly string[],
): AdmitContext['reach'] {
  if (!reach) return undefined;
  return (operation, wanted = () => true) =>
    reach({ operation, searchPath: searchPath(), inspector, backend: upstream.backend, wanted });
}
