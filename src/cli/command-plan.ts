import { access, stat } from "node:fs/promises";
import { composeWorld, createLog, readCommittedFolder, readFolder, traitsOf, type World } from "../app/compose.ts";
import { fleetSettings, loadRevision } from "../app/planning/load-revision.ts";
import { type FleetSettings, isManifest } from "../app/planning/manifests.ts";
import { planWithCapacity } from "../app/planning/plan-with-capacity.ts";
import { type ClustersRead, readClusters } from "../app/planning/read-clusters.ts";
import type { Config, RepositoryConfig } from "../config/config.ts";
import type { DesiredState } from "../fleet/desired-state.ts";
import { WatcherError } from "../lib/errors.ts";
import { defaultLimits } from "../manifest/parse.ts";
import type { PlatformTraits } from "../plan/live-state.ts";
import { assumeApplied } from "../plan/assume-applied.ts";
import { type PlanInput, buildPlan } from "../plan/build-plan.ts";
import { targetsOn } from "../plan/cluster-index.ts";
import type { Plan } from "../plan/plan.ts";
import { planToJson } from "../report/json.ts";
import { planMarker, renderPlanComment } from "../report/markdown.ts";
import { renderPlanText } from "../report/terminal.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { desiredOf, type FolderOptions, imaginaryFleet, parseFolder } from "./folder-manifests.ts";
import { print, printJson, progressLine, wantsColour } from "./output.ts";
import { configFile, type GlobalOptions, readSettings } from "./settings.ts";
import { readVersion } from "./version.ts";

export interface PlanOptions extends GlobalOptions {
  /** A working tree to plan instead of the tracked branch. */
  readonly path?: string;
  /** Reach no cluster: compare with the last commit (of `--path`) or with the revision before. */
  readonly offline?: boolean;
  readonly repository?: string;
  /** Commit to plan instead of the branch's tip. */
  readonly revision?: string;
  readonly markdown?: boolean;
}

/** What would be done now. Changes nothing anywhere. Exit code 2 when there is something to do, 1 when it cannot be planned. */
export async function planCommand(options: PlanOptions): Promise<ExitCode> {
  if (options.markdown === true && options.json === true)
    throw new WatcherError("usage", "give --markdown or --json, not both");
  const config = await settingsIfAny(options);
  const progress = progressLine();
  const log = await createLog({ level: "silent", format: "json", fd: 2 });
  await using world = config === undefined ? undefined : composeWorld({ config, log, version: readVersion() });
  progress.show("planning ...");
  const plan =
    options.path === undefined
      ? await planBranch(world, config, options)
      : await planFolder(world, config, options, options.path);
  progress.clear();
  show(plan, options);
  if (plan.problems.some((problem) => problem.severity === "error") || plan.conflicts.length > 0)
    return exitCodes.error;
  if (plan.held.length > 0) return exitCodes.error;
  return plan.operations.length > 0 ? exitCodes.changes : exitCodes.ok;
}

/** A working tree may be planned without a configuration; a branch may not. */
async function settingsIfAny(options: PlanOptions): Promise<Config | undefined> {
  if (options.path === undefined || options.config !== undefined) return readSettings(options);
  const exists = await access(configFile(options)).then(
    () => true,
    () => false,
  );
  return exists ? readSettings(options) : undefined;
}

async function planFolder(
  world: World | undefined,
  config: Config | undefined,
  options: PlanOptions,
  path: string,
): Promise<Plan> {
  const parse: FolderOptions = { strict: false, allowHttp: config?.assets.allowHttp ?? false };
  if (!(await isFolder(path)))
    throw new WatcherError("usage", `there is no folder ${path}: --path takes the folder of the manifests`);
  const files = await readFolder(path, isManifest, defaultLimits.maxFileBytes);
  const committed = await readCommittedFolder(path, isManifest, defaultLimits.maxFileBytes);
  const settings = config === undefined ? imaginaryFleet(parse.allowHttp) : settingsOf(config, options);
  const desired = desiredOf(parseFolder(files, path, parse), settings);
  const base = committed === undefined ? undefined : desiredOf(parseFolder(committed.files, path, parse), settings);
  const offline = options.offline === true || world === undefined;
  const revision = committed === undefined ? "working-tree" : `${committed.revision}+working-tree`;
  return plan({
    world,
    desired,
    base,
    revision,
    baseRevision: committed?.revision,
    offline,
    instance: config?.instance ?? "kraken-gitops",
  });
}

function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

async function planBranch(world: World | undefined, config: Config | undefined, options: PlanOptions): Promise<Plan> {
  if (world === undefined || config === undefined)
    throw new WatcherError("usage", "planning a branch needs a configuration");
  const repository = await world.repository(chooseRepository(config, options).name);
  const signal = AbortSignal.timeout(600_000);
  const tip = await repository.git.fetchBranch(signal);
  const revision = options.revision ?? tip;
  if (revision === undefined)
    throw new WatcherError(
      "git-branch-missing",
      `branch ${repository.config.branch} of ${repository.config.name} has no commit yet`,
    );
  if (options.revision !== undefined) await repository.git.ensureRevisions([{ revision, ref: undefined }], signal);
  const commit = await repository.git.readCommit(revision, signal);
  const { desired } = await loadRevision(world, repository, revision, signal);
  const parent = commit.parents[0];
  const base =
    options.offline === true && parent !== undefined
      ? (await loadRevision(world, repository, parent, signal)).desired
      : undefined;
  return plan({
    world,
    desired,
    base,
    revision: commit.revision,
    baseRevision: base === undefined ? undefined : parent,
    offline: options.offline === true,
    instance: config.instance,
  });
}

function settingsOf(config: Config, options: PlanOptions): FleetSettings {
  return fleetSettings(config, { config: chooseRepository(config, options) });
}

/** The named repository, or the only one. */
function chooseRepository(config: Config, options: PlanOptions): RepositoryConfig {
  const names = config.repositories.map((repository) => repository.name).join(", ");
  const found =
    options.repository === undefined
      ? config.repositories
      : config.repositories.filter((repository) => repository.name === options.repository);
  const [repository] = found;
  if (repository === undefined)
    throw new WatcherError(
      "usage",
      `the configuration has no repository ${options.repository ?? ""}; it has: ${names || "none"}`,
    );
  if (found.length > 1) throw new WatcherError("usage", `name one repository with --repository: ${names}`);
  return repository;
}

interface Inputs {
  readonly world: World | undefined;
  readonly desired: DesiredState;
  readonly base: DesiredState | undefined;
  readonly revision: string;
  readonly baseRevision: string | undefined;
  readonly offline: boolean;
  readonly instance: string;
}

async function plan(inputs: Inputs): Promise<Plan> {
  const { world, desired, base, instance } = inputs;
  const clusters = [
    ...new Set([...desired.targets.values(), ...(base?.targets.values() ?? [])].map((target) => target.cluster)),
  ].sort();
  const log = await createLog({ level: "silent", format: "json", fd: 2 });
  const signal = AbortSignal.timeout(600_000);
  const engine = world === undefined ? undefined : { hypervisor: world.hypervisor, log };
  const read =
    inputs.offline || engine === undefined
      ? assume(clusters, base, instance, world)
      : await readClusters(engine, clusters, signal);
  const input: PlanInput = {
    ...inputs,
    live: read.live,
    held: read.held,
    traitsOfHeld: new Map(),
    enforced: new Set(),
    scope: undefined,
    rewritten: false,
    approvals: new Set(),
  };
  return engine === undefined ? buildPlan(input) : planWithCapacity(engine, input, signal);
}

/** Offline, a cluster is taken to be as the base asks. */
function assume(
  clusters: readonly string[],
  base: DesiredState | undefined,
  instance: string,
  world: World | undefined,
): ClustersRead {
  const traitsFor = (name: string): PlatformTraits => {
    const known = world?.config().clusters.find((cluster) => cluster.name === name);
    // One that is only imagined could be any, and tell whatever is asked of it.
    return known === undefined ? { ...traitsOf("hypercore"), cloudInit: true } : traitsOf(known.driver);
  };
  const virdomainsOf = (cluster: string) =>
    targetsOn(base, cluster).flatMap((target) =>
      target.virdomains.map((virdomain) => assumeApplied(virdomain, instance, undefined)),
    );
  return {
    live: new Map(
      clusters.map((cluster) => [
        cluster,
        { state: { cluster, virdomains: virdomainsOf(cluster) }, traits: traitsFor(cluster) },
      ]),
    ),
    held: [],
  };
}

function show(result: Plan, options: PlanOptions): void {
  if (options.json === true) printJson(planToJson(result));
  else if (options.markdown === true) print(renderMarkdown(result));
  else print(renderPlanText(result, { colour: wantsColour(), width: process.stdout.columns ?? 100 }));
}

function renderMarkdown(result: Plan): string {
  const marker = planMarker("local", result.repository);
  return renderPlanComment({
    plan: result,
    marker,
    instance: "local",
    repository: result.repository,
    head: result.revision,
    base: result.baseRevision ?? result.revision,
    baseBranch: "the last commit",
    pullRequest: { number: 0, fork: false, draft: false },
    nowMs: Date.now(),
    version: readVersion(),
    limitChars: 60_000,
  });
}
