import type { DesiredVirdomain } from "../fleet/desired-state.ts";
import type { PlatformTraits } from "./live-state.ts";

/** Whether a VM is ready only once cloud-init has finished in it. One without cloud-init data has nothing to wait for. */
export function awaitsCloudInit({ readiness, cloudInit }: Pick<DesiredVirdomain, "readiness" | "cloudInit">): boolean {
  return readiness?.cloudInit === true && cloudInit !== undefined;
}

/** Why nobody could ever tell on this platform that the VM is ready, or undefined. */
export function untellableReadiness(desired: DesiredVirdomain, { cloudInit }: PlatformTraits): string | undefined {
  if (cloudInit || !awaitsCloudInit(desired)) return undefined;
  return "readiness.cloudInit cannot be told on this cluster: its platform does not ask the guest how far cloud-init is; take it out of the deployment, or use guestAgent, tcp or http";
}
