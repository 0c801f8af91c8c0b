import { showConfig } from "../config/show.ts";
import { stringify } from "yaml";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { print, printJson } from "./output.ts";
import { configFile, type GlobalOptions, readSettings } from "./settings.ts";

/** The effective configuration: defaults filled in, secrets as references. */
export async function configShowCommand(options: GlobalOptions): Promise<ExitCode> {
  const shown = showConfig(await readSettings(options));
  if (options.json === true) printJson(shown);
  else print(stringify(shown));
  return exitCodes.ok;
}

/** Whether the configuration file can be used, secrets included; reaches nothing over the network. */
export async function configCheckCommand(options: GlobalOptions): Promise<ExitCode> {
  const config = await readSettings(options);
  const counts = `${config.repositories.length} repositories, ${config.clusters.length} clusters`;
  if (options.json === true) printJson({ schemaVersion: 1, valid: true, file: configFile(options) });
  else print(`${configFile(options)} is valid: ${counts}.`);
  return exitCodes.ok;
}
