import { canonicalJson, contentHash } from "../lib/canonical-json.ts";
import type { ApplicationDocument, DeploymentDocument } from "../manifest/document.ts";
import { nearestHint } from "../manifest/nearest.ts";
import type { ParsedFile } from "../manifest/parse.ts";
import { type Problem, compareProblems } from "../manifest/problem.ts";
import { crossCheck } from "../manifest/repository-documents.ts";
import type { Cluster } from "./cluster.ts";
import { type DesiredState, type DesiredVirdomain, type Target, targetKey } from "./desired-state.ts";
import { type Inventory, takeInventory } from "./document-inventory.ts";
import { findNameClashes } from "./name-clashes.ts";
import { type UnmatchedEntry, unmatchedEntries } from "./instances.ts";
import { type TargetPlan, TargetResolver } from "./resolve-targets.ts";
import { resolveRollouts } from "./resolve-rollouts.ts";
import { renderTarget } from "./render-virdomain.ts";
import type { TargetCache } from "./target-cache.ts";

export interface DesiredStateInput {
  readonly repository: string;
  readonly files: readonly ParsedFile[];
  readonly clusters: readonly Cluster[];
  /** Where applications go that nothing else sends anywhere. */
  readonly defaultClusters: readonly string[];
  /** A cluster's own id, for `{{ clusterId }}`. */
  readonly clusterId?: (cluster: string) => string | undefined;
  /** Allow `http:` asset URLs that come out of variables. */
  readonly allowHttp?: boolean;
  /** Targets of earlier calls, reused where nothing they rest on has changed. */
  readonly cache?: TargetCache;
}

/**
 * What one revision asks of the whole fleet. `problems` holds those of the files, of the repository and of rendering.
 * An application with an error anywhere is broken as a whole: it has no targets and its VMs stay as they are.
 */
export function buildDesiredState(input: DesiredStateInput): DesiredState {
  const inventory = takeInventory(input.files);
  const resolver = new TargetResolver({
    ...inventory,
    clusters: input.clusters,
    defaultClusters: input.defaultClusters,
  });
  const rollouts = resolveRollouts(inventory, input.clusters);
  const broken = new Set([...inventory.brokenApplications, ...rollouts.brokenApplications]);
  const builder = new Builder(input, broken);
  for (const application of inventory.applications) builder.add(application, resolver);
  builder.refuseClashes();
  const problems = [
    ...input.files.flatMap((file) => file.problems),
    ...crossCheck(input.files),
    ...inventory.problems,
    ...resolver.groupProblems(),
    ...rollouts.problems,
    ...unmatchedProblems(inventory),
    ...builder.problems(),
  ];
  return {
    repository: input.repository,
    targets: builder.targets(),
    problems: problems.sort(compareProblems),
    brokenApplications: builder.broken,
    complete: input.files.every(({ readable }) => readable),
    undeployed: namesWith(inventory.applications, "undeploy"),
    drafts: namesWith(inventory.applications, "draft"),
    rollouts: rollouts.rules,
  };
}

function namesWith(
  applications: readonly ApplicationDocument[],
  lifecycle: ApplicationDocument["lifecycle"],
): ReadonlySet<string> {
  return new Set(applications.filter((application) => application.lifecycle === lifecycle).map(({ name }) => name));
}

class Builder {
  readonly broken: Set<string>;
  readonly #input: DesiredStateInput;
  readonly #surroundings: ReadonlyMap<Cluster, string>;
  readonly #targets: Target[] = [];
  readonly #problems: Problem[] = [];
  /** The same problem on many clusters is told once, with the clusters. */
  readonly #rendering = new Map<string, { readonly problem: Problem; readonly clusters: string[] }>();

  constructor(input: DesiredStateInput, broken: Set<string>) {
    this.#input = input;
    this.broken = broken;
    this.#surroundings = new Map(
      input.clusters.map((cluster) => [
        cluster,
        canonicalJson([input.repository, input.allowHttp === true, input.clusterId?.(cluster.name), cluster]),
      ]),
    );
  }

  add(application: ApplicationDocument, resolver: TargetResolver): void {
    if (this.broken.has(application.name)) return;
    const { plans, problems } = resolver.resolve(application);
    this.#problems.push(...problems);
    if (problems.some(({ severity }) => severity === "error")) this.broken.add(application.name);
    else for (const plan of plans) this.#render(application, plan);
  }

  #render(application: ApplicationDocument, plan: TargetPlan): void {
    const { cache } = this.#input;
    const key = targetKey({ cluster: plan.cluster.name, application: application.name });
    const wanted = {
      application,
      deployment: plan.deployment,
      groups: plan.groups,
      surroundings: this.#surroundings.get(plan.cluster) ?? "",
    };
    let made = cache?.find(key, wanted);
    if (made === undefined) {
      made = { ...wanted, ...makeTarget(this.#input, application, plan) };
      cache?.keep(key, made);
    }
    this.#targets.push(made.target);
    for (const problem of made.problems) this.#collect(problem, plan.cluster.name);
    if (made.problems.length > 0) this.broken.add(application.name);
  }

  #collect(problem: Problem, cluster: string): void {
    const { position, code, path, message } = problem;
    const key = `${code}\n${position.file}:${position.line}:${position.column}\n${path}\n${message}`;
    const known = this.#rendering.get(key);
    if (known === undefined) this.#rendering.set(key, { problem, clusters: [cluster] });
    else if (known.clusters.at(-1) !== cluster) known.clusters.push(cluster);
  }

  refuseClashes(): void {
    const clashes = findNameClashes(this.#targets.filter(({ application }) => !this.broken.has(application)));
    for (const { problem, cluster } of clashes) this.#collect(problem, cluster);
    for (const { problem } of clashes) if (problem.application !== undefined) this.broken.add(problem.application);
  }

  problems(): readonly Problem[] {
    const rendering = [...this.#rendering.values()].map(({ problem, clusters }) => ({
      ...problem,
      message: `${problem.message} on ${listClusters(clusters)}`,
    }));
    return [...this.#problems, ...rendering];
  }

  /** By cluster, then application: applications come sorted, so the clusters alone are left to sort. */
  targets(): ReadonlyMap<string, Target> {
    const byCluster = new Map<string, Target[]>([...this.#surroundings.keys()].map(({ name }) => [name, []]));
    for (const target of this.#targets) {
      if (!this.broken.has(target.application)) byCluster.get(target.cluster)?.push(target);
    }
    const clusters = [...byCluster.keys()].sort();
    return new Map(
      clusters.flatMap((name) => (byCluster.get(name) ?? []).map((target) => [targetKey(target), target])),
    );
  }
}

function makeTarget(
  input: DesiredStateInput,
  application: ApplicationDocument,
  plan: TargetPlan,
): { readonly target: Target; readonly problems: readonly Problem[] } {
  const { repository, allowHttp = false } = input;
  const clusterId = input.clusterId?.(plan.cluster.name);
  const { virdomains, problems } = renderTarget({ repository, application, plan, clusterId, allowHttp });
  const facts = { cluster: plan.cluster.name, application: application.name, deployment: plan.deployment?.name };
  return {
    target: {
      ...facts,
      virdomains,
      hash: contentHash(JSON.stringify({ ...facts, virdomains: virdomains.map(hashedFacts) })),
    },
    problems,
  };
}

/**
 * What a target's hash is made of. Where a VM stands in a file changes nothing; cloud-init counts by its hash. The
 * members are always built in the same order, so plain JSON will do; only networks come from the configuration as written.
 */
function hashedFacts({ position: _position, cloudInit, nics, ...facts }: DesiredVirdomain): unknown {
  const wiring = nics.map(({ name, type, network }) => [
    name,
    type,
    network.vlan,
    network.network,
    network.bridge,
    ...(network.user === true ? ["user"] : []),
  ]);
  return { ...facts, nics: wiring, cloudInit: cloudInit?.hash };
}

function listClusters(clusters: readonly string[]): string {
  const shown = clusters.slice(0, 3).join(", ");
  return clusters.length <= 3 ? shown : `${shown} and ${clusters.length - 3} more clusters`;
}

function unmatchedProblems(inventory: Inventory): readonly Problem[] {
  const deployments = new Set([...inventory.deployments.values()].flat().filter(holdsEntries));
  if (deployments.size === 0) return [];
  const byName = new Map(inventory.applications.map((application) => [application.name, application]));
  return [...deployments].flatMap((deployment) => {
    const applications = deployment.applications.flatMap((name) => byName.get(name) ?? []);
    // With one of them broken, the name may be in what could not be read.
    if (applications.length < deployment.applications.length) return [];
    return unmatchedEntries(deployment, applications).map((found, index) =>
      unmatchedProblem(deployment, found, index < hintedEntries),
    );
  });
}

/** Looking for the nearest word goes through all words: done for as many entries as anybody reads. */
const hintedEntries = 20;

function unmatchedProblem(
  deployment: DeploymentDocument,
  { path, entry, known }: UnmatchedEntry,
  hinted: boolean,
): Problem {
  const hint = hinted ? nearestHint(entry, known, "known") : undefined;
  const message = `"${entry}" names no resource or tag of the deployment's applications`;
  const base: Problem = { severity: "warning", code: "name-unmatched", position: deployment.position, path, message };
  return hint === undefined ? base : { ...base, hint };
}

function holdsEntries({ instances, order, renamedFrom, policy }: DeploymentDocument): boolean {
  return (
    order.length > 0 ||
    policy.protect.length > 0 ||
    Object.keys(instances).length > 0 ||
    Object.keys(renamedFrom).length > 0
  );
}
