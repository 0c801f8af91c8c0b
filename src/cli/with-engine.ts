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
  const names = config.repositories.map((repository) => repository.name);
  if (name === undefined) return names;
  if (!names.includes(name))
    throw new WatcherError(
      "usage",
      `the configuration has no repository ${name}; it has: ${names.join(", ") || "none"}`,
    );
  return [name];
}
