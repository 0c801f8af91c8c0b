import { readFile } from "node:fs/promises";
import { WatcherError, messageOf } from "../lib/errors.ts";
import type { SecretReference } from "./config.ts";

/** A secret in a file, read anew each time so that a rotated one is picked up. One trailing newline is not part of it. */
export function secretInFile(file: string): SecretReference {
  const source = `file ${file}`;
  return reference(source, async () => {
    try {
      return (await readFile(file, "utf8")).replace(/\r?\n$/, "");
    } catch (cause) {
      throw new WatcherError("config-invalid", `cannot read the secret in ${source}: ${messageOf(cause)}`, { cause });
    }
  });
}

/** A secret in an environment variable, looked up when it is needed. */
export function secretInEnvironment(name: string, env: Readonly<Record<string, string | undefined>>): SecretReference {
  return reference(`environment variable ${name}`, () => Promise.resolve(env[name] ?? ""));
}

function reference(source: string, load: () => Promise<string>): SecretReference {
  return {
    source,
    read: async () => {
      const secret = await load();
      if (secret !== "") return secret;
      throw new WatcherError("config-invalid", `the secret in ${source} is empty or not set`);
    },
    toJSON: () => `(${source})`,
  };
}
