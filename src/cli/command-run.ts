import type { Config } from "../config/config.ts";
import { watchConfig } from "../config/watch.ts";
import { formatConfigProblem } from "../config/load.ts";
import { composeEngine, createLog } from "../app/compose.ts";
import { startWatching, startWorking } from "../app/roles.ts";
import { WatcherError } from "../lib/errors.ts";
import { Handles } from "../lib/handles.ts";
import { startHttpServer } from "../server/http-server.ts";
import { serveBeside } from "../server/serve-beside.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { configFile, type GlobalOptions, readSettingsAloud } from "./settings.ts";
import { untilStopped } from "./stop-signal.ts";
import { readVersion } from "./version.ts";

export type Role = "watch" | "work" | "serve";

/** `run`, `watch`, `work` and `serve`: the same process with some of the roles, until SIGTERM or SIGINT. */
export async function runCommand(wanted: readonly Role[], options: GlobalOptions): Promise<ExitCode> {
  const config = await readSettingsAloud(options);
  const roles = wanted.filter((role) => role !== "serve" || config.server !== undefined);
  if (roles.length === 0)
    throw new WatcherError("config-invalid", "serve needs server.listen in the configuration, e.g. 127.0.0.1:8080");
  const log = await createLog({ ...config.log, fd: 1 });
  const version = readVersion();
  log.info(
    {
      version,
      roles,
      instance: config.instance,
      repositories: config.repositories.length,
      clusters: config.clusters.length,
    },
    "kraken-gitops starts",
  );
  await using handles = new Handles();
  const engine = handles.use(await composeEngine({ config, log, version }));
  const follow = (next: Config): void => {
    if (JSON.stringify(next.server) !== JSON.stringify(config.server))
      log.warn({ listen: next.server }, "a changed server.listen takes effect at the next start");
    engine.reload(next);
    log.setLevel(next.log.level);
    log.info({ repositories: next.repositories.length, clusters: next.clusters.length }, "configuration reloaded");
  };
  handles.use(
    await watchConfig(configFile(options), process.env, {
      onChange: follow,
      onProblems: (problems) =>
        log.error(
          { problems: problems.map(formatConfigProblem) },
          "the changed configuration cannot be used, the old one stays",
        ),
    }),
  );
  if (roles.includes("work")) handles.use(await startWorking(engine));
  if (roles.includes("watch")) handles.use(startWatching(engine));
  if (roles.includes("serve") && config.server !== undefined)
    handles.use(await (roles.length === 1 ? startHttpServer : serveBeside)(engine, config.server));
  log.info({ roles }, "kraken-gitops is ready");
  const reason = await untilStopped();
  log.info({ signal: reason }, "stopping: operations under way may finish, a second signal ends at once");
  return exitCodes.ok;
}
