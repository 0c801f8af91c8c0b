/** Waits for a condition, never for a time: looks again and again until `look` answers something. */
export async function waitFor<T>(
  look: () => Promise<T | undefined> | T | undefined,
  options: { readonly what: string; readonly timeoutMs?: number; readonly describe?: () => Promise<string> },
): Promise<T> {
  const timeoutMs = options.timeoutMs ?? 60_000;
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > deadline)
      throw new Error(`waited ${timeoutMs} ms in vain for ${options.what}: ${(await options.describe?.()) ?? ""}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
