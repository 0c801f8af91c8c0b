import type { Config } from "./config.ts";

/** The effective configuration as plain data: secrets show where they come from, never what they are. */
export function showConfig(config: Config): unknown {
  return JSON.parse(JSON.stringify(config));
}
