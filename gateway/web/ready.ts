/** Is every part there? Asked by load balancers, answered in words an operator can act on. */

/** Undefined when well, else why not, for an operator. */
export type ReadyCheck = () => string | undefined | Promise<string | undefined>;

const CHECK_MS = 2_000;

/** Every check at once, each within its time; what does not answer is not ready. */
export async function troublesOf(checks: Readonly<Record<string, ReadyCheck>>): Promise<Record<string, string>> {
  const results = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => [name, await answerOf(check)] as const),
  );
  return Object.fromEntries(results.flatMap(([name, trouble]) => (trouble === undefined ? [] : [[name, trouble]])));
}

async function answerOf(check: ReadyCheck): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve('does not answer'), CHECK_MS);
  });
  try {
    return await Promise.race([Promise.resolve().then(check), late]);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    clearTimeout(timer);
  }
}
