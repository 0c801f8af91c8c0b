import { WatcherError } from "../../lib/errors.ts";
import type { ClusterAccess } from "./access.ts";
import { toVersion } from "./rest/wire.ts";

/** `icosVersion`, e.g. `9.6.27.225000`. During an update it is the answering node's own, so read it on an idle cluster. */
export async function readVersion(access: ClusterAccess, signal: AbortSignal): Promise<string> {
  const [version] = await access.client.list("Cluster", toVersion, signal);
  if (version === undefined)
    throw new WatcherError("cluster-failed", `cluster ${access.cluster} does not describe itself`);
  return version;
}

/** Whether a version is at least `major.minor`; what cannot be read as a version is not. */
export function versionAtLeast(version: string, major: number, minor: number): boolean {
  const [first = 0, second = 0] = version.split(".").map(Number);
  return first > major || (first === major && second >= minor);
}
