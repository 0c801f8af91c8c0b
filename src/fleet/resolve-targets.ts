import type { ApplicationDocument, ClusterGroupDocument, DeploymentDocument } from "../manifest/document.ts";
import type { ProblemCode } from "../manifest/problem-codes.ts";
import type { Problem } from "../manifest/problem.ts";
import type { Cluster } from "./cluster.ts";
import { describeSelector, resolveClusterGroup } from "./cluster-group.ts";

/** One application on one cluster, with everything its variables come from. */
export interface TargetPlan {
  readonly cluster: Cluster;
  readonly deployment: DeploymentDocument | undefined;
  /** The groups through which the cluster was chosen, in the order they are named. */
  readonly groups: readonly ClusterGroupDocument[];
}

export interface Targeting {
  readonly plans: readonly TargetPlan[];
  readonly problems: readonly Problem[];
}

/** `testonly` applications go only to clusters labelled `lifecycle=testonly`. */
function isTestCluster(cluster: Cluster): boolean {
  return cluster.labels["lifecycle"] === "testonly";
}

interface Fleet {
  readonly clusters: readonly Cluster[];
  readonly defaultClusters: readonly string[];
  readonly groups: ReadonlyMap<string, ClusterGroupDocument>;
  /** Deployments by the applications they name. */
  readonly deployments: ReadonlyMap<string, readonly DeploymentDocument[]>;
}

/**
 * Says where applications go: where their Deployments say; without one, to their own `metadata.clusterGroups`; without
 * those, to the repository's default clusters. Group members are worked out once for all applications.
 */
export class TargetResolver {
  readonly #fleet: Fleet;
  readonly #members = new Map<ClusterGroupDocument, ReturnType<typeof resolveClusterGroup>>();
  readonly #defaults: readonly TargetPlan[];

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
    this.#defaults = fleet.clusters
      .filter(({ name }) => fleet.defaultClusters.includes(name))
      .map((cluster) => ({ cluster, deployment: undefined, groups: [] }));
  }

  /** Clusters of every group, and the selectors that match nothing. */
  groupProblems(): readonly Problem[] {
    return [...this.#fleet.groups.values()].flatMap((group): readonly Problem[] => {
      const { clusters, unmatched } = this.#membersOf(group);
      const at = { position: group.position, path: "spec.clusters" };
      if (clusters.length === 0) {
        const message = `the cluster group "${group.name}" selects no configured cluster`;
        return [{ ...at, severity: "error", code: "no-cluster", message, hint: this.#knownClusters() }];
      }
      return unmatched.map((selector) => ({
        ...at,
        severity: "warning",
        code: "selector-unmatched",
        message: `${describeSelector(selector)} matches no configured cluster`,
        hint: this.#knownClusters(),
      }));
    });
  }

  resolve(application: ApplicationDocument): Targeting {
    if (application.lifecycle === "draft" || application.lifecycle === "undeploy") return { plans: [], problems: [] };
    const found = this.#place(application);
    if (application.lifecycle !== "testonly") return found;
    return { ...found, plans: found.plans.filter(({ cluster }) => isTestCluster(cluster)) };
  }

  #place(application: ApplicationDocument): Targeting {
    const deployments = this.#fleet.deployments.get(application.name) ?? [];
    if (deployments.length > 0) return this.#deployed(application, deployments);
    if (application.clusterGroups.length > 0) return this.#grouped(application, undefined, application.clusterGroups);
    if (this.#defaults.length > 0) return { plans: this.#defaults, problems: [] };
    return { plans: [], problems: [this.#nowhere(application)] };
  }

  #deployed(application: ApplicationDocument, deployments: readonly DeploymentDocument[]): Targeting {
    const byCluster = new Map<Cluster, TargetPlan>();
    const problems: Problem[] = [];
    for (const deployment of deployments) {
      const targeting = this.#grouped(application, deployment, deployment.clusterGroups);
      problems.push(...targeting.problems);
      for (const plan of targeting.plans) {
        const other = byCluster.get(plan.cluster)?.deployment;
        if (other === undefined) byCluster.set(plan.cluster, plan);
        else problems.push(deployedTwice(application, plan.cluster, other, deployment));
      }
    }
    return { plans: [...byCluster.values()], problems };
  }

  #grouped(
    application: ApplicationDocument,
    deployment: DeploymentDocument | undefined,
    names: readonly string[],
  ): Targeting {
    const groupsOf = new Map<Cluster, ClusterGroupDocument[]>();
    const problems: Problem[] = [];
    for (const name of names) {
      const group = this.#fleet.groups.get(name);
      const clusters = group === undefined ? [] : this.#membersOf(group).clusters;
      if (group === undefined || clusters.length === 0)
        problems.push(missingGroup(application, deployment, name, group));
      for (const cluster of clusters) {
        const groups = groupsOf.get(cluster);
        if (group !== undefined && groups === undefined) groupsOf.set(cluster, [group]);
        else if (group !== undefined) groups?.push(group);
      }
    }
    return { plans: [...groupsOf].map(([cluster, groups]) => ({ cluster, deployment, groups })), problems };
  }

  #membersOf(group: ClusterGroupDocument): ReturnType<typeof resolveClusterGroup> {
    const known = this.#members.get(group);
    if (known !== undefined) return known;
    const members = resolveClusterGroup(group, this.#fleet.clusters);
    this.#members.set(group, members);
    return members;
  }

  #nowhere(application: ApplicationDocument): Problem {
    const { defaultClusters } = this.#fleet;
    if (defaultClusters.length === 0) {
      const message = "nothing says where this application goes: no Deployment, no clusterGroups, no default clusters";
      return applicationProblem(application, "not-deployed", "", message, "name it in a Deployment", "warning");
    }
    const message = `none of the default clusters (${defaultClusters.join(", ")}) is configured`;
    return applicationProblem(application, "no-cluster", "", message, this.#knownClusters());
  }

  #knownClusters(): string {
    const names = this.#fleet.clusters.map(({ name }) => name);
    return `configured clusters: ${names.length <= 8 ? names.join(", ") : `${names.slice(0, 8).join(", ")} and ${names.length - 8} more`}`;
  }
}

function deployedTwice(
  application: ApplicationDocument,
  cluster: Cluster,
  first: DeploymentDocument,
  second: DeploymentDocument,
): Problem {
  const message = `the deployments ${placeOf(first)} and ${placeOf(second)} both put it on ${cluster.name}`;
  return applicationProblem(application, "deployed-twice", "metadata.name", message, "take it off one of them");
}

function placeOf({ name, position }: DeploymentDocument): string {
  return `"${name}" (${position.file}:${position.line})`;
}

/**
 * A group that is unknown, broken or empty leaves open where the application belongs. The group itself has its own
 * problem; this one keeps the application's VMs as they are.
 */
function missingGroup(
  application: ApplicationDocument,
  deployment: DeploymentDocument | undefined,
  name: string,
  group: ClusterGroupDocument | undefined,
): Problem {
  const via = deployment === undefined ? "metadata.clusterGroups" : `the deployment "${deployment.name}"`;
  const why = group === undefined ? "is not there, or has errors" : "selects no configured cluster";
  const code = group === undefined ? "unknown-cluster-group" : "no-cluster";
  return applicationProblem(
    application,
    code,
    "metadata.name",
    `the cluster group "${name}" of ${via} ${why}`,
    undefined,
  );
}

/** A problem of an application as a whole. */
export function applicationProblem(
  application: ApplicationDocument,
  code: ProblemCode,
  path: string,
  message: string,
  hint: string | undefined,
  severity: Problem["severity"] = "error",
): Problem {
  const base: Problem = {
    severity,
    code,
    position: application.position,
    path,
    message,
    application: application.name,
  };
  return hint === undefined ? base : { ...base, hint };
}
