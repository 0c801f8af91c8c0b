import type { ForgeConfig } from "../../config/config.ts";
import type { Forge } from "../../ports/forge.ts";
import { openGithub } from "./github.ts";
import { openGitlab } from "./gitlab.ts";
import { type ForgeLog, openNoForge } from "./none.ts";

export type ForgeKind = ForgeConfig["type"];
type ConfigOf<K extends ForgeKind> = Extract<ForgeConfig, { readonly type: K }>;
type ForgeOpener<K extends ForgeKind> = (config: ConfigOf<K>, log: ForgeLog) => Forge;

/** Every kind of forge by its name in the configuration; a new one is a file and a line here (docs/forges.md). */
const forges: { readonly [K in ForgeKind]: ForgeOpener<K> } = {
  github: (config) => openGithub({ ...config, token: () => config.token.read() }),
  gitlab: (config) => openGitlab({ ...config, token: () => config.token.read() }),
  none: (_config, log) => openNoForge({ log }),
};

/** Opens the forge a repository is configured with; nothing is asked before the first call. */
export function openForge(config: ForgeConfig, log: ForgeLog): Forge {
  const open = forges[config.type] as (config: ForgeConfig, log: ForgeLog) => Forge;
  return open(config, log);
}
