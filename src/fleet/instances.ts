import type { ApplicationDocument, DeploymentDocument, VirdomainTemplate } from "../manifest/document.ts";
import { templateVariables } from "../manifest/template.ts";
import type { VirdomainIdentity } from "./desired-state.ts";

/** One copy of a resource. */
export interface Instance {
  /** Part of the identity: 0 for a resource that cannot be numbered, otherwise from 1. */
  readonly ordinal: number;
  /** `{{ instance_id }}`, when `instances` sets it. */
  readonly instanceId: string | undefined;
}

/** True for a resource whose name tells its copies apart. */
export function isNumbered(resource: string): boolean {
  return templateVariables(resource).includes("instance_id");
}

/**
 * The copies of a resource. A resource with `{{ instance_id }}` in its name is number 1 even without `instances`, so
 * that asking for three later keeps the first. `undefined`: several are asked for, and the name cannot tell them apart.
 */
export function planInstances(
  template: VirdomainTemplate,
  tags: readonly string[],
  deployment: DeploymentDocument | undefined,
): readonly Instance[] | undefined {
  const count = deployment === undefined ? undefined : countFor(template.resource, tags, deployment.instances);
  const numbered = isNumbered(template.resource);
  if (count === undefined) return [{ ordinal: numbered ? 1 : 0, instanceId: undefined }];
  if (!numbered && count > 1) return undefined;
  return Array.from({ length: count }, (_, index) => ({
    ordinal: numbered ? index + 1 : 0,
    instanceId: String(index + 1),
  }));
}

/** A resource's own name wins over its name without the number, that over its tags in their order. */
function countFor(
  resource: string,
  tags: readonly string[],
  instances: Readonly<Record<string, number>>,
): number | undefined {
  const key = [resource, baseName(resource), ...tags].find((candidate) => Object.hasOwn(instances, candidate));
  return key === undefined ? undefined : instances[key];
}

/** `app-tier-{{ instance_id }}` -> `app-tier`: how people call the resource in a Deployment. */
export function baseName(resource: string): string {
  return resource.replace(/[-_. ]*\{\{ instance_id \}\}/g, "").trim();
}

/** Identities a copy may be found under: what `renamed_from` says, followed back over several renames. */
export function formerIdentities(
  identity: VirdomainIdentity,
  deployment: DeploymentDocument | undefined,
): readonly VirdomainIdentity[] {
  const renamed = deployment?.renamedFrom ?? {};
  const found: VirdomainIdentity[] = [];
  const seen = new Set<string>();
  let resource = identity.resource;
  while (!seen.has(resource)) {
    seen.add(resource);
    const key = [resource, baseName(resource)].find((candidate) => Object.hasOwn(renamed, candidate));
    const old = key === undefined ? undefined : renamed[key];
    if (old === undefined) break;
    const former = formerIdentity(identity, old);
    if (former !== undefined) found.push(former);
    resource = old;
  }
  return found;
}

/** A resource that was not numbered before becomes number 1, and the other way round. */
function formerIdentity(identity: VirdomainIdentity, old: string): VirdomainIdentity | undefined {
  const slash = old.indexOf("/");
  const resource = old.slice(slash + 1);
  const application = slash < 0 ? identity.application : old.slice(0, slash);
  if (isNumbered(resource)) return { ...identity, application, resource, ordinal: Math.max(1, identity.ordinal) };
  return identity.ordinal <= 1 ? { ...identity, application, resource, ordinal: 0 } : undefined;
}

/** Step of a VM in its deployment's order: the first entry that is one of its tags or names; the last step otherwise. */
export function stepOf(order: readonly string[], words: readonly string[]): number {
  const index = order.findIndex((entry) => words.includes(entry));
  return index < 0 ? order.length : index;
}

export interface UnmatchedEntry {
  readonly path: string;
  readonly entry: string;
  /** What it could have named. */
  readonly known: readonly string[];
}

/** Entries of a Deployment that name nothing in its applications: most often a typing error. */
export function unmatchedEntries(
  deployment: DeploymentDocument,
  applications: readonly ApplicationDocument[],
): readonly UnmatchedEntry[] {
  const resources = applications.flatMap((application) => application.resources);
  // With variables in tags or names, what an entry will match is only known per cluster.
  const open = resources.some(
    ({ name, tags }) =>
      tags.some((tag) => typeof tag !== "string") ||
      (typeof name !== "string" && templateVariables(name.template).some((variable) => variable !== "instance_id")),
  );
  if (open) return [];
  const words = new Set(resources.flatMap(({ resource, tags }) => [resource, baseName(resource), ...tags.map(String)]));
  const known = [...words];
  const numbered = resources.map(({ resource }) => resource).filter(isNumbered);
  const matches = (entry: string): boolean =>
    words.has(entry) || numbered.some((resource) => isCopyOf(entry, resource));
  const missing = (path: string, entries: readonly string[]): readonly UnmatchedEntry[] =>
    entries.filter((entry) => !matches(entry)).map((entry) => ({ path, entry, known }));
  return [
    ...missing("spec.instances", Object.keys(deployment.instances)),
    ...missing("spec.order", deployment.order),
    ...missing("spec.renamed_from", Object.keys(deployment.renamedFrom)),
    ...missing("spec.policy.protect", deployment.policy.protect),
  ];
}

function isCopyOf(name: string, resource: string): boolean {
  const [before = "", ...after] = resource.split("{{ instance_id }}");
  return name.startsWith(before) && name.endsWith(after.at(-1) ?? "");
}
