import { stringify } from "yaml";
import { checkSecrets } from "../config/check-secrets.ts";
import { showConfig } from "../config/show.ts";
import { WatcherError } from "../lib/errors.ts";
import type { Config } from "../config/config.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { count, print, printJson } from "./output.ts";
import { configFile, type GlobalOptions, readSettings, readSettingsAloud } from "./settings.ts";

/** The effective configuration: defaults filled in, secrets as references. */
export async function configShowCommand(options: GlobalOptions): Promise<ExitCode> {
  const shown = showConfig(await readSettings(options));
  if (options.json === true) printJson(shown);
  else print(stringify(shown));
  return exitCodes.ok;
}

/** What it holds, in a few words. */
export function describeConfig(config: Config): string {
  return `${count(config.repositories.length, "repository")}, ${count(config.clusters.length, "cluster")}`;
}

/** Whether the configuration file can be used, secrets included; reaches nothing over the network. */
export async function configCheckCommand(options: GlobalOptions): Promise<ExitCode> {
  const config = await readSettingsAloud(options);
  const missing = await checkSecrets(config);
  if (missing.length > 0)
    throw new WatcherError(
      "config-invalid",
      `secrets of ${configFile(options)} cannot be read:\n${missing.join("\n")}`,
    );
  const counts = describeConfig(config);
  if (options.json === true) printJson({ schemaVersion: 1, valid: true, file: configFile(options) });
  else print(`${configFile(options)} is valid: ${counts}.`);
  return exitCodes.ok;
}
