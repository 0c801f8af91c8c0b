import { wakeSyncs } from "../app/holds.ts";
import type { Config } from "../config/config.ts";
import { WatcherError } from "../lib/errors.ts";
import type { Pause, PauseScope } from "../ports/state-store.ts";
import { describePause, describeScope, describeTime } from "../sync/pauses.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { print, printJson } from "./output.ts";
import type { GlobalOptions } from "./settings.ts";
import { userName } from "./user-name.ts";
import { withEngine } from "./with-engine.ts";

export interface ScopeOptions extends GlobalOptions {
  readonly repository?: string;
  readonly cluster?: string;
  readonly application?: string;
  readonly vm?: string;
}

export interface PauseOptions extends ScopeOptions {
  readonly reason?: string;
  /** Milliseconds. */
  readonly for?: number;
  readonly until?: string;
  readonly by?: string;
}

/** Holds a scope until it is resumed, or for a time. A second pause of a scope replaces the first. */
export function pauseCommand(options: PauseOptions): Promise<ExitCode> {
  return withEngine(options, async (engine, config) => {
    const atMs = engine.clock.now();
    const pause: Pause = {
      scope: scopeOf(options, config),
      reason: options.reason?.trim() ?? "",
      by: options.by ?? userName(),
      atMs,
      untilMs: endOf(options, atMs),
    };
    await engine.store.setPause(pause);
    await wakeSyncs(engine);
    if (options.json === true) printJson({ schemaVersion: 1, pause });
    else print(`${describeScope(pause.scope)}: ${describePause({ ...pause, scope: { kind: "instance" } })}`);
    return exitCodes.ok;
  });
}

/** Ends the pause of exactly this scope; others that cover it stay. */
export function resumeCommand(options: ScopeOptions): Promise<ExitCode> {
  return withEngine(options, async (engine, config) => {
    const scope = scopeOf(options, config);
    const resumed = await engine.store.removePause(scope);
    await wakeSyncs(engine);
    const left = await engine.store.listPauses(engine.clock.now());
    if (options.json === true) printJson({ schemaVersion: 1, scope, resumed, pauses: left });
    else {
      print(resumed ? `${describeScope(scope)}: resumed` : `${describeScope(scope)}: was not paused`);
      for (const pause of left)
        print(
          `still paused: ${describeScope(pause.scope)}${pause.untilMs === undefined ? "" : ` until ${describeTime(pause.untilMs)}`}`,
        );
    }
    return exitCodes.ok;
  });
}

/** The one scope that the options name; everything without any. Throws `usage`. */
export function scopeOf(options: ScopeOptions, config: Pick<Config, "repositories" | "clusters">): PauseScope {
  const { repository, cluster, application, vm } = options;
  if ([repository, cluster, application, vm].filter((name) => name !== undefined).length > 1)
    throw new WatcherError("usage", "give one of --repository, --cluster, --application and --vm");
  if (repository !== undefined) {
    known("repository", repository, config.repositories);
    return { kind: "repository", repository };
  }
  if (cluster !== undefined) {
    known("cluster", cluster, config.clusters);
    return { kind: "cluster", cluster };
  }
  if (application !== undefined) return { kind: "application", application };
  if (vm === undefined) return { kind: "instance" };
  const slash = vm.indexOf("/");
  const virdomain = vm.slice(slash + 1);
  if (slash < 1 || virdomain === "") throw new WatcherError("usage", `--vm takes cluster/name, not "${vm}"`);
  known("cluster", vm.slice(0, slash), config.clusters);
  return { kind: "virdomain", cluster: vm.slice(0, slash), virdomain };
}

function known(what: string, name: string, configured: readonly { readonly name: string }[]): void {
  const names = configured.map((one) => one.name);
  if (names.includes(name)) return;
  throw new WatcherError("usage", `the configuration has no ${what} ${name}; it has: ${names.join(", ") || "none"}`);
}

/** When the pause ends by itself. Throws `usage`. */
export function endOf({ for: forMs, until }: PauseOptions, nowMs: number): number | undefined {
  if (forMs !== undefined && until !== undefined) throw new WatcherError("usage", "give --for or --until, not both");
  if (until === undefined) {
    if (forMs === 0) throw new WatcherError("usage", "--for must be more than nothing");
    return forMs === undefined ? undefined : nowMs + forMs;
  }
  const atMs = Date.parse(until);
  if (Number.isNaN(atMs))
    throw new WatcherError("usage", `--until takes a time such as 2026-12-01T06:00Z, not "${until}"`);
  if (atMs <= nowMs) throw new WatcherError("usage", `--until ${until} is over already`);
  return atMs;
}
