import type {
  ApplicationDocument,
  ClusterGroupDocument,
  DeploymentDocument,
  ManifestDocument,
} from "../manifest/document.ts";
import { findNearest } from "../manifest/nearest.ts";
import type { ParsedFile } from "../manifest/parse.ts";
import type { Problem } from "../manifest/problem.ts";

/** The documents of a repository by what they are for, without those that cannot be used. */
export interface Inventory {
  /** In the order of their names; one per name. */
  readonly applications: readonly ApplicationDocument[];
  readonly groups: ReadonlyMap<string, ClusterGroupDocument>;
  /** By the applications they name. */
  readonly deployments: ReadonlyMap<string, readonly DeploymentDocument[]>;
  readonly brokenApplications: ReadonlySet<string>;
  readonly problems: readonly Problem[];
}

/**
 * Sorts documents out, on the safe side: two documents of one name break what they stand for, as nobody can say which
 * is meant; a Deployment that cannot be read breaks the applications it names, and every application when even those
 * cannot be read, because where they belong is no longer known.
 */
export function takeInventory(files: readonly ParsedFile[]): Inventory {
  const documents = files.flatMap((file) => file.documents);
  const applications = uniqueByName(documents.filter((document) => document.type === "Application"));
  const groups = uniqueByName(documents.filter((document) => document.type === "ClusterGroup"));
  const deployments = documents.filter((document) => document.type === "Deployment");
  const broken = new Set(
    files.flatMap(({ applicationNames }) => applicationNames.filter((name) => !applications.has(name))),
  );
  const uniqueDeployments = uniqueByName(deployments);
  for (const deployment of deployments) {
    if (!uniqueDeployments.has(deployment.name)) for (const name of deployment.applications) broken.add(name);
  }
  const problems: Problem[] = [];
  for (const lost of lostDeployments(files)) {
    for (const name of lost.applications ?? applications.keys()) broken.add(name);
    problems.push(lost.problem);
  }
  return {
    applications: [...applications.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
    groups,
    deployments: byApplication(deployments),
    brokenApplications: broken,
    problems,
  };
}

/** Documents whose name is theirs alone. */
function uniqueByName<Kind extends ManifestDocument>(documents: readonly Kind[]): ReadonlyMap<string, Kind> {
  const found = new Map<string, Kind>();
  const twice = new Set<string>();
  for (const document of documents) {
    if (found.has(document.name)) twice.add(document.name);
    found.set(document.name, document);
  }
  for (const name of twice) found.delete(name);
  return found;
}

function byApplication(deployments: readonly DeploymentDocument[]): ReadonlyMap<string, readonly DeploymentDocument[]> {
  const found = new Map<string, DeploymentDocument[]>();
  for (const deployment of deployments) {
    for (const name of deployment.applications) {
      const known = found.get(name);
      if (known === undefined) found.set(name, [deployment]);
      else known.push(deployment);
    }
  }
  return found;
}

interface LostDeployment {
  readonly applications: readonly string[] | undefined;
  readonly problem: Problem;
}

function lostDeployments(files: readonly ParsedFile[]): readonly LostDeployment[] {
  return files.flatMap(({ file, brokenDocuments }) =>
    brokenDocuments
      .filter(
        ({ type, applications }) =>
          applications !== undefined || (type !== undefined && findNearest(type, ["Deployment"]) !== undefined),
      )
      .filter(({ type }) => type !== "Application" && type !== "ClusterGroup")
      .map(({ name, applications }) => {
        const which = name === undefined ? "a deployment" : `the deployment "${name}"`;
        const kept =
          applications === undefined
            ? "every application stays as it is"
            : `${applications.join(", ")} stay as they are`;
        const message = `${which} cannot be used: until it is repaired, ${kept}`;
        return {
          applications,
          problem: {
            severity: "error",
            code: "deployment-broken",
            position: { file, line: 1, column: 1 },
            path: "",
            message,
          },
        };
      }),
  );
}
