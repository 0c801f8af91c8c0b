import type { ChangeKind, LiveVirdomain, PlatformTraits } from "./live-state.ts";

/** How many CPUs a VM has, is to have, and could be given as it runs. */
export interface CpuChange {
  readonly live: Pick<LiveVirdomain, "cpu" | "liveCpuLimit">;
  readonly desired: { readonly cpu: number };
}

/** Whether a change can be made only while the VM is off. The one answer that plans, snapshots and operations go by. */
export function needsOff(kind: ChangeKind, cpus: CpuChange, traits: PlatformTraits): boolean {
  return traits.rebootFor.has(kind) && !(kind === "cpu" && isWithinLiveLimit(cpus));
}

/** Whether a change is tried on the running VM, which is switched off for it when its guest does not go along. */
export function mayNeedOff(kind: ChangeKind, traits: PlatformTraits): boolean {
  return traits.mayRebootFor.has(kind);
}

/** CPUs can be added to a VM that was started with room for them; none is taken away from a guest that runs. */
function isWithinLiveLimit({ live, desired }: CpuChange): boolean {
  return desired.cpu > live.cpu && desired.cpu <= (live.liveCpuLimit ?? live.cpu);
}
