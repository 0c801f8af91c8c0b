import { readFile } from "node:fs/promises";
import { waitFor } from "./wait-for.ts";

/** Waits until a guest has said something on its console, which is logged to a file; answers everything it said. */
export async function untilSaid(file: string, pattern: RegExp, timeoutMs = 120_000): Promise<string> {
  const read = (): Promise<string> => readFile(file, "utf8").catch(() => "");
  return waitFor(
    async () => {
      const said = await read();
      return pattern.test(said) ? said : undefined;
    },
    { what: `${pattern} on a console`, timeoutMs, describe: async () => (await read()).slice(-2_000) },
  );
}
