import { WatcherError } from "../../lib/errors.ts";
import { type ClusterAccess, listTrueConditions } from "./access.ts";
import type { HypercoreOptions } from "./options.ts";
import { requireNotUpdating } from "./update-status.ts";
import { readVersion, versionAtLeast } from "./version.ts";
import { toLanIp } from "./rest/wire.ts";

/** What an operator wants to know of a cluster before trusting it with changes. */
export async function checkCluster(
  access: ClusterAccess,
  options: HypercoreOptions,
  signal: AbortSignal,
): Promise<string[]> {
  const version = await readVersion(access, signal);
  const nodes = (await access.client.list("Node", toLanIp, signal)).filter((ip) => ip !== "");
  const conditions = await listTrueConditions(access, signal);
  return [
    `HyperCore ${version}, ${nodes.length} node(s)`,
    ...(versionAtLeast(version, 9, 6)
      ? []
      : ["this version is older than 9.6, which is the oldest this driver is written for"]),
    ...unlistedNodes(nodes, options),
    ...tlsFindings(options),
    ...(await updateFinding(access, signal)),
    ...conditions.map((condition) => `the cluster reports: ${condition.text}`),
  ];
}

function unlistedNodes(nodes: readonly string[], options: HypercoreOptions): string[] {
  const hosts = new Set(options.endpoints.map((endpoint) => new URL(endpoint).hostname));
  const missing = nodes.filter((ip) => !hosts.has(ip)).join(", ");
  if (missing === "" || nodes.length < 2) return [];
  return options.discoverNodes === false
    ? [`nodes not among the endpoints, so not used when others fail: ${missing}`]
    : [`nodes not among the endpoints, learnt from the cluster once it answers: ${missing}`];
}

function tlsFindings(options: HypercoreOptions): string[] {
  if (options.tls?.insecure === true) return ["TLS certificates are not verified; give a caFile or a fingerprint"];
  return options.endpoints.some((endpoint) => endpoint.startsWith("http:")) ? ["the endpoints are not encrypted"] : [];
}

async function updateFinding(access: ClusterAccess, signal: AbortSignal): Promise<string[]> {
  try {
    await requireNotUpdating(access, signal);
    return [];
  } catch (error) {
    if (error instanceof WatcherError && error.code === "cluster-updating") return [error.message];
    throw error;
  }
}
