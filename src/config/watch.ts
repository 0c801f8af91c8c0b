import path from "node:path";
import { watch } from "chokidar";
import type { Config } from "./config.ts";
import { type ConfigProblem, type LoadedConfig, loadConfig } from "./load.ts";
import type { Environment } from "./resolve-context.ts";

export interface ConfigFollower {
  /** A changed file that can be used: the whole new configuration. */
  onChange(config: Config): void;
  /** A changed file that cannot: the configuration before it stays. */
  onProblems(problems: readonly ConfigProblem[]): void;
}

/** Editors write in several steps: the file is read when it has been quiet for so long. */
const quietMs = 150;

/**
 * Follows a configuration file. Its folder is watched rather than the file, so that an editor's rename over it and the
 * link that a Kubernetes volume swaps (`..data`) are seen too. Equal configurations are told once.
 */
export async function watchConfig(file: string, env: Environment, follower: ConfigFollower): Promise<AsyncDisposable> {
  const absolute = path.resolve(file);
  let last = fingerprint(await loadConfig(absolute, env));
  let timer: NodeJS.Timeout | undefined;
  let reading: Promise<void> = Promise.resolve();
  const read = async (): Promise<void> => {
    const loaded = await loadConfig(absolute, env);
    const now = fingerprint(loaded);
    if (now === last) return;
    last = now;
    if ("config" in loaded) follower.onChange(loaded.config);
    else follower.onProblems(loaded.problems);
  };
  const changed = (name: string): void => {
    if (name !== path.basename(absolute) && !name.startsWith("..")) return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      reading = reading.then(read);
    }, quietMs);
  };
  const watcher = watch(path.dirname(absolute), { depth: 0, ignoreInitial: true, followSymlinks: false });
  watcher.on("all", (_event, name) => changed(path.basename(name)));
  // A link renamed over another is no event of its own to chokidar: same names before and after.
  watcher.on("raw", (_event, name) => changed(path.basename(name)));
  // A watch that breaks leaves the configuration as it is; without a listener it would end the process.
  watcher.on("error", () => undefined);
  await new Promise<void>((resolve) => {
    watcher.once("ready", () => resolve());
  });
  return {
    async [Symbol.asyncDispose]() {
      clearTimeout(timer);
      await watcher.close();
      await reading;
    },
  };
}

function fingerprint(loaded: LoadedConfig): string {
  return JSON.stringify("config" in loaded ? loaded.config : loaded.problems);
}
