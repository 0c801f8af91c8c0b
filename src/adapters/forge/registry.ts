import type { ForgeConfig } from "../../config/config.ts";
import { WatcherError } from "../../lib/errors.ts";
import type { Forge } from "../../ports/forge.ts";
import { createGithubApp, type GithubApp } from "./github-app.ts";
import { openGitea } from "./gitea.ts";
import { openGithub } from "./github.ts";
import { openGitlab } from "./gitlab.ts";
import { type ForgeLog, openNoForge } from "./none.ts";

export type ForgeKind = ForgeConfig["type"];
type ConfigOf<K extends ForgeKind> = Extract<ForgeConfig, { readonly type: K }>;
type ForgeOpener<K extends ForgeKind> = (config: ConfigOf<K>, log: ForgeLog) => Forge;

/** Every kind of forge by its name in the configuration; a new one is a file and a line here (docs/forges.md). */
const forges: { readonly [K in ForgeKind]: ForgeOpener<K> } = {
  github: (config, log) =>
    openGithub({
      ...config,
      token: forgeToken(config),
      app: appOf(config),
      onUsage: (usage) => log.info({ forge: config.type, ...usage }, "requests to the forge in an hour"),
    }),
  gitea: (config) => openGitea({ ...config, flavour: "gitea", token: () => config.token.read() }),
  forgejo: (config) => openGitea({ ...config, flavour: "forgejo", token: () => config.token.read() }),
  gitlab: (config, log) =>
    openGitlab({
      ...config,
      token: () => config.token.read(),
      onUsage: (usage) => log.info({ forge: config.type, ...usage }, "requests to the forge in an hour"),
    }),
  none: (_config, log) => openNoForge({ log }),
};

/** One for each configuration, so that git and the API share its tokens. */
const apps = new WeakMap<ConfigOf<"github">, GithubApp>();

function appOf(config: ConfigOf<"github">): GithubApp | undefined {
  if (config.app === undefined) return undefined;
  const { id, privateKey, installationId } = config.app;
  const app =
    apps.get(config) ?? createGithubApp({ ...config, id, installationId, privateKey: () => privateKey.read() });
  apps.set(config, app);
  return app;
}

/** The credential a forge is asked with, and git too where its address is the forge's; short-lived ones are renewed. */
export function forgeToken(config: ForgeConfig): (refused?: string) => Promise<string> {
  const app = config.type === "github" ? appOf(config) : undefined;
  if (app !== undefined) return (refused) => app.token(refused);
  const secret = config.type === "none" ? undefined : config.token;
  if (secret !== undefined) return () => secret.read();
  return () => Promise.reject(new WatcherError("forge-auth-failed", `a forge of type ${config.type} has no token`));
}

/** Opens the forge a repository is configured with; nothing is asked before the first call. */
export function openForge(config: ForgeConfig, log: ForgeLog): Forge {
  const open = forges[config.type] as (config: ForgeConfig, log: ForgeLog) => Forge;
  return open(config, log);
}
