import { resolve } from "node:path";
import type { Config } from "../config/config.ts";
import { formatConfigProblem, loadConfig } from "../config/load.ts";
import { WatcherError } from "../lib/errors.ts";
import { complain } from "./output.ts";

/** Options every command takes. */
export interface GlobalOptions {
  readonly config?: string;
  readonly json?: boolean;
}

/** The configuration file: `--config`, else KRAKEN_GITOPS_CONFIG, else kraken-gitops.yaml here. */
export function configFile(options: GlobalOptions): string {
  return resolve(options.config ?? process.env["KRAKEN_GITOPS_CONFIG"] ?? "kraken-gitops.yaml");
}

/** Loads the configuration; every problem of it is in the error, warnings go to stderr. */
export async function readSettings(options: GlobalOptions): Promise<Config> {
  const file = configFile(options);
  const loaded = await loadConfig(file, process.env);
  if ("problems" in loaded) {
    const lines = loaded.problems.map(formatConfigProblem).join("\n");
    throw new WatcherError("config-invalid", `the configuration ${file} cannot be used:\n${lines}`);
  }
  for (const warning of loaded.warnings) complain(`warning: ${formatConfigProblem(warning)}`);
  return loaded.config;
}
