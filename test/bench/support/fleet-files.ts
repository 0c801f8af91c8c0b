import { readFile } from "node:fs/promises";

/** Stands for an application's number in the examples; the clones of a simulated VM replace it. */
export const sampleApplication = "app-00000";

const exampleNames = ["three-tier-webapp", "mixed-os-environment", "microservices-stack"] as const;

/** The example manifests in turn, under names of their own: 12 VMs in three applications. */
export interface Fleet {
  readonly applications: number;
  readonly clusters: readonly string[];
  readonly files: Readonly<Record<string, string>>;
  /** Numbers of the applications on a cluster. */
  applicationsOn(cluster: string): readonly number[];
  pathOf(application: number): string;
  /** The manifest of an application with another amount of CPU for its first VM. */
  changed(application: number, cpu: number): string;
}

/** A repository of `applications`, spread evenly over `clusters`; each cluster is a group of its own. */
export async function makeFleet(applications: number, clusterCount: number): Promise<Fleet> {
  const examples = await readExamples();
  const clusters = Array.from({ length: clusterCount }, (_, index) => `site-${String(index + 1).padStart(4, "0")}`);
  const perCluster = applications / clusterCount;
  const clusterOf = (application: number): string => clusters[Math.floor(application / perCluster)] ?? "";
  const textOf = (application: number): string =>
    renamed(examples[application % examples.length] ?? "", applicationName(application), clusterOf(application));
  const pathOf = (application: number): string => `manifests/${applicationName(application)}.yaml`;
  const numbers = Array.from({ length: applications }, (_, index) => index);
  return {
    applications,
    clusters,
    files: Object.fromEntries([
      ...clusters.map((cluster) => [`manifests/groups/${cluster}.yaml`, groupText(cluster)]),
      ...numbers.map((application) => [pathOf(application), textOf(application)]),
    ]),
    applicationsOn: (cluster) => numbers.filter((application) => clusterOf(application) === cluster),
    pathOf,
    changed: (application, cpu) => textOf(application).replace(/^( +)cpu: \d+$/m, `$1cpu: ${cpu}`),
  };
}

export function applicationName(application: number): string {
  return `app-${String(application + 1).padStart(5, "0")}`;
}

/** The three examples as application `app-00000` on one cluster. */
export async function sampleFiles(cluster: string): Promise<readonly string[]> {
  return (await readExamples()).map((text) => renamed(text, sampleApplication, cluster));
}

/** File names of the images the examples ask for. */
export async function imageNames(): Promise<readonly string[]> {
  const found = (await readExamples()).flatMap((text) => [...text.matchAll(/demo-bucket\/([\w.-]+)/g)]);
  return [...new Set(found.map((match) => match[1] ?? ""))];
}

function readExamples(): Promise<string[]> {
  const folder = new URL("../../../config/examples/", import.meta.url);
  return Promise.all(exampleNames.map((name) => readFile(new URL(`${name}.yaml`, folder), "utf8")));
}

function renamed(text: string, application: string, cluster: string): string {
  return text
    .replace(/^ {2}name: .*$/m, `  name: ${application}\n  clusterGroups: [${cluster}]`)
    .replaceAll(/(- type: "virdomain"\n +name: )"([^"]*)"/g, `$1"${application}-$2"`);
}

function groupText(cluster: string): string {
  const selector = `spec:\n  clusters:\n    - name: ${cluster}\n`;
  return `type: ClusterGroup\nversion: "1.0.0"\nmetadata:\n  name: ${cluster}\n${selector}`;
}
