import { WatcherError } from "../lib/errors.ts";
import { composeEngine, createLog, type OpenEngine } from "../app/compose.ts";
import type { Config } from "../config/config.ts";
import { type GlobalOptions, readSettings } from "./settings.ts";
import { readVersion } from "./version.ts";

/** Opens the engine of a configuration for one short look; only warnings are logged, to stderr. */
export async function withEngine<T>(
  options: GlobalOptions,
  body: (engine: OpenEngine, config: Config) => Promise<T>,
): Promise<T> {
  const config = await readSettings(options);
  const log = await createLog({ level: "error", format: config.log.format, fd: 2 });
  await using engine = await composeEngine({ config, log, version: readVersion() });
  return await body(engine, config);
}

/** The named repository, or every one. Throws `usage` for a name that is not configured. */
export function repositoryNames(config: Config, name: string | undefined): readonly string[] {
  return chosen("repository", config.repositories, name);
}

/** The named cluster, or every one. Throws `usage` for a name that is not configured. */
export function clusterNames(config: Config, name: string | undefined): readonly string[] {
  return chosen("cluster", config.clusters, name);
}

function chosen(what: string, all: readonly { readonly name: string }[], name: string | undefined): readonly string[] {
  const names = all.map((one) => one.name);
  if (name === undefined) return names;
  if (names.includes(name)) return [name];
  throw new WatcherError("usage", `the configuration has no ${what} ${name}; it has: ${names.join(", ") || "none"}`);
}
