import { access } from "node:fs/promises";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Config } from "../config/config.ts";
import { formatConfigProblem, type LoadedConfig, loadConfig } from "../config/load.ts";
import { WatcherError } from "../lib/errors.ts";
import { complain } from "./output.ts";

const exampleFile = fileURLToPath(new URL("../../config/example.yaml", import.meta.url));

/** Options every command takes. */
export interface GlobalOptions {
  readonly config?: string;
  readonly json?: boolean;
}

/** The configuration file: `--config`, else KRAKEN_GITOPS_CONFIG, else kraken-gitops.yaml here. */
export function configFile(options: GlobalOptions): string {
  return resolve(options.config ?? process.env["KRAKEN_GITOPS_CONFIG"] ?? "kraken-gitops.yaml");
}

/** Loads the configuration; every problem of it is in the error. */
export async function readSettings(options: GlobalOptions): Promise<Config> {
  return (await load(options)).config;
}

/** The same for commands that are about the configuration, or run on it for long: its warnings go to stderr. */
export async function readSettingsAloud(options: GlobalOptions): Promise<Config> {
  const { config, warnings } = await load(options);
  for (const warning of warnings) complain(`warning: ${formatConfigProblem(warning)}`);
  return config;
}

async function load(options: GlobalOptions): Promise<Extract<LoadedConfig, { config: Config }>> {
  const file = configFile(options);
  if (!(await exists(file)))
    throw new WatcherError(
      "config-invalid",
      `there is no configuration file ${file}: name it with --config or KRAKEN_GITOPS_CONFIG, or begin with a copy of ${exampleFile}`,
    );
  const loaded = await loadConfig(file, process.env);
  if ("problems" in loaded) {
    const lines = loaded.problems.map(formatConfigProblem).join("\n");
    throw new WatcherError("config-invalid", `the configuration ${file} cannot be used:\n${lines}`);
  }
  return loaded;
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== "ENOENT",
  );
}
