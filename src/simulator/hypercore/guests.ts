import type { ClusterState, Guest, PendingPower } from "./state.ts";
import type { NetDevice, VirDomain } from "./wire.ts";

/** ACPI: the wish is noted at once; whether the guest follows is the guest's affair. */
export function requestShutdown(state: ClusterState, uuid: string): void {
  const vm = state.takeVirDomain(uuid);
  const guest = state.guests.get(uuid);
  state.updateVirDomain(uuid, { desiredDisposition: "SHUTOFF" });
  if (guest?.pending !== undefined || !listensToAcpi(state, vm, guest)) return;
  schedule(state, uuid, "SHUTDOWN", state.settings.guestShutdownMs / 4);
}

/** A guest hears ACPI once it has booted, which needs something to boot from. */
export function listensToAcpi(state: ClusterState, vm: VirDomain, guest: Guest | undefined): boolean {
  if (guest?.bootsAt === undefined || guest.bootsAt > Date.now() || vm.bootDevices.length === 0) return false;
  const pattern = state.settings.ignoreShutdown;
  const byName = pattern !== undefined && new RegExp(pattern).test(vm.name);
  return !byName && guest.ignoresShutdown !== true && !vm.tags.split(",").includes("sim-ignore-acpi");
}

/** Lets a change of power state happen later; it replaces one that is still to come. */
export function schedule(state: ClusterState, uuid: string, to: PendingPower["to"], ms: number): void {
  const pending: PendingPower = { id: state.random.hex(8), to, at: Date.now() + ms };
  state.updateGuest(uuid, { pending });
  state.timers.after(ms, () => arrive(state, uuid, pending));
}

/** A pending change takes place, unless another one has taken its place. */
function arrive(state: ClusterState, uuid: string, pending: PendingPower): void {
  if (state.guests.get(uuid)?.pending?.id !== pending.id) return;
  state.updateGuest(uuid, { pending: undefined });
  if (pending.to === "RUNNING") {
    const node = state.takeVirDomain(uuid).nodeUUID;
    state.updateVirDomain(uuid, { state: "RUNNING", uiState: "RUNNING", lastSeenRunningOnNodeUUID: node });
    bootGuest(state, uuid);
  } else if (pending.to === "SHUTDOWN") {
    state.updateVirDomain(uuid, { state: "SHUTDOWN", uiState: "SHUTDOWN" });
    schedule(state, uuid, "SHUTOFF", (state.settings.guestShutdownMs * 3) / 4);
  } else {
    switchOff(state, uuid);
  }
}

/** Off, with everything a running VM shows taken back. */
export function switchOff(state: ClusterState, uuid: string): void {
  const vm = state.virdomains.get(uuid);
  if (vm === undefined) return;
  state.updateGuest(uuid, { bootsAt: undefined });
  state.updateVirDomain(uuid, {
    state: "SHUTOFF",
    uiState: "SHUTOFF",
    desiredDisposition: "SHUTOFF",
    nodeUUID: "",
    lastSeenRunningOnNodeUUID: "",
    guestAgentState: "UNAVAILABLE",
    netDevs: vm.netDevs.map((nic) => ({ ...nic, ipv4Addresses: [] })),
  });
}

/** The guest goes down by itself: it crashes, or somebody inside switches it off. */
export function switchGuest(state: ClusterState, uuid: string, to: "CRASHED" | "SHUTOFF"): void {
  state.updateGuest(uuid, { pending: undefined });
  switchOff(state, uuid);
  if (to === "CRASHED") state.updateVirDomain(uuid, { state: to, uiState: to, desiredDisposition: "RUNNING" });
}

/** The guest starts to boot: deaf to ACPI and without an agent until it is done. */
export function bootGuest(state: ClusterState, uuid: string): void {
  const bootsAt = Date.now() + state.settings.guestBootMs;
  state.updateGuest(uuid, { bootsAt });
  state.updateVirDomain(uuid, { guestAgentState: "UNAVAILABLE" });
  awaitGuest(state, uuid, bootsAt);
}

/** A timer may fire early by the wall clock, and the guest may have been reset since: `guestIsUp` looks again. */
function awaitGuest(state: ClusterState, uuid: string, bootsAt: number): void {
  state.timers.after(Math.max(1, bootsAt - Date.now()), () => guestIsUp(state, uuid));
}

function guestIsUp(state: ClusterState, uuid: string): void {
  const vm = state.virdomains.get(uuid);
  const bootsAt = state.guests.get(uuid)?.bootsAt;
  if (vm?.state !== "RUNNING" || vm.guestAgentState === "AVAILABLE" || vm.bootDevices.length === 0) return;
  if (bootsAt === undefined || vm.tags.split(",").includes("sim-no-agent")) return;
  if (bootsAt > Date.now()) return awaitGuest(state, uuid, bootsAt);
  const netDevs = vm.netDevs.map((nic) => ({ ...nic, ipv4Addresses: nic.connected ? [addressOf(state, nic)] : [] }));
  state.updateVirDomain(uuid, { guestAgentState: "AVAILABLE", netDevs });
}

function addressOf(state: ClusterState, nic: NetDevice): string {
  const last = nic.macAddress.split(":").slice(-3);
  return state.settings.guestAddress ?? `10.${last.map((part) => Number.parseInt(part, 16)).join(".")}`;
}

/** After a restart: guests go on with what they were about to do. */
export function recoverGuests(state: ClusterState): void {
  for (const [uuid, { pending, bootsAt }] of state.guests.entries()) {
    if (pending !== undefined)
      state.timers.after(Math.max(0, pending.at - Date.now()), () => arrive(state, uuid, pending));
    if (bootsAt !== undefined) awaitGuest(state, uuid, bootsAt);
  }
}
