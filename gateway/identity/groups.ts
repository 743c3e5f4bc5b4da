/** Whose group `oidc:<name>` means. Pure. */

/**
 * A group belongs to its issuer: where several issuers have groups, a bare name means nobody's (no issuer), and
 * `issuer#group` is needed.
 */
export function groupNamed(
  name: string,
  issuers: readonly { readonly issuer: string; readonly groups?: string | undefined }[],
): { readonly issuer: string | undefined; readonly group: string } {
  const grouped = issuers.filter(({ groups }) => groups !== undefined).map(({ issuer }) => issuer);
  const at = name.lastIndexOf('#');
  const issuer = at === -1 ? (grouped.length === 1 ? grouped[0] : undefined) : name.slice(0, at);
  return { issuer, group: name.slice(at + 1) };
}
