import type { EffectTable } from "./effect-table.ts";
import { bootGuest, listensToAcpi, schedule, switchOff } from "./guests.ts";
import { badRequest, notNow, TaskFailure } from "./refusal.ts";
import type { ClusterState } from "./state.ts";
import type { PowerAction, VirDomain } from "./wire.ts";
import type { Work } from "./work.ts";

/** An action as work, or the 500 it gets in this state. `undefined` is ACPI shutdown: it has no task. */
export function powerWork(state: ClusterState, action: PowerAction): Work | undefined {
  const vm = state.getVirDomain(action.virDomainUUID);
  const rising = state.guests.get(vm.uuid)?.pending?.to === "RUNNING";
  switch (action.actionType) {
    case "START":
      return startWork(vm, rising);
    case "STOP":
      return { kind: stopKind(state, vm, rising), vm: vm.uuid };
    case "SHUTDOWN":
      requireRunning(vm);
      return undefined;
    case "REBOOT":
      requireRunning(vm);
      return { kind: "reboot", vm: vm.uuid };
    case "RESET":
      requireRunning(vm);
      return { kind: "reset", vm: vm.uuid };
    case "PAUSE":
      requireRunning(vm);
      return { kind: "pause", vm: vm.uuid };
    case "NMI":
      requireRunning(vm);
      return { kind: "nothing", vm: vm.uuid };
    case "LIVEMIGRATE":
      return migrateWork(state, vm, action.nodeUUID);
    default:
      throw badRequest(`"${action.actionType}" is not allowed in VirDomainAction`);
  }
}

function startWork(vm: VirDomain, rising: boolean): Work {
  if (vm.state === "RUNNING" || rising) return { kind: "nothing", vm: vm.uuid };
  if (!["SHUTOFF", "CRASHED", "PAUSED"].includes(vm.state)) throw notNow();
  return { kind: "start", vm: vm.uuid };
}

/** A STOP that meets a guest already finishing hangs and ends in ERROR, with the VM off. */
function stopKind(state: ClusterState, vm: VirDomain, rising: boolean): "stop" | "stop-race" | "nothing" {
  if (vm.state === "SHUTOFF" && !rising) return "nothing";
  const falling = state.guests.get(vm.uuid)?.pending !== undefined && !rising;
  return falling ? "stop-race" : "stop";
}

function migrateWork(state: ClusterState, vm: VirDomain, node: string | undefined): Work {
  if (node === undefined) throw badRequest('"nodeUUID" is required for LIVEMIGRATE');
  requireRunning(vm);
  if (!state.facts.nodeUUIDs.includes(node)) throw notNow();
  return { kind: "migrate", vm: vm.uuid, node };
}

function requireRunning(vm: VirDomain): void {
  if (vm.state !== "RUNNING") throw notNow();
}

export const powerEffects: Pick<
  EffectTable,
  "start" | "stop" | "stop-race" | "reboot" | "reset" | "pause" | "nothing" | "migrate"
> = {
  start: {
    begin: (state, { vm }) => state.updateVirDomain(vm, { uiState: "STARTING" }),
    finish: (state, { vm }) => startVirDomain(state, state.takeVirDomain(vm)),
    undo: restoreUiState,
  },
  stop: {
    begin: (state, { vm }) => {
      state.updateGuest(vm, { pending: undefined });
      switchOff(state, vm);
      state.updateVirDomain(vm, { uiState: "STOPPING" });
    },
    finish: (state, { vm }) => switchOff(state, vm),
    undo: restoreUiState,
  },
  "stop-race": {
    finish: () => {
      throw new TaskFailure("Domain could not be stopped: %@", ["timed out"]);
    },
  },
  reboot: {
    finish: (state, { vm }) => {
      if (listensToAcpi(state, state.takeVirDomain(vm), state.guests.get(vm))) bootGuest(state, vm);
    },
  },
  reset: { finish: (state, { vm }) => bootGuest(state, vm) },
  pause: {
    begin: (state, { vm }) => state.updateVirDomain(vm, { uiState: "PAUSING" }),
    finish: (state, { vm }) => {
      state.updateGuest(vm, { pending: undefined });
      state.updateVirDomain(vm, { state: "PAUSED", uiState: "PAUSED", desiredDisposition: "PAUSED" });
    },
    undo: restoreUiState,
  },
  nothing: { finish: () => undefined },
  migrate: {
    begin: (state, { vm }) => state.updateVirDomain(vm, { uiState: "MIGRATING" }),
    finish: (state, { vm, node }) => migrate(state, state.takeVirDomain(vm), node),
    undo: restoreUiState,
  },
};

function restoreUiState(state: ClusterState, { vm }: { readonly vm: string }): void {
  const current = state.virdomains.get(vm);
  if (current !== undefined) state.updateVirDomain(vm, { uiState: current.state });
}

function migrate(state: ClusterState, vm: VirDomain, node: string): void {
  requireMemory(state, vm, [node]);
  state.updateVirDomain(vm.uuid, { uiState: vm.state, nodeUUID: node, lastSeenRunningOnNodeUUID: node });
}

function startVirDomain(state: ClusterState, vm: VirDomain): void {
  if (vm.state === "PAUSED") {
    state.updateVirDomain(vm.uuid, { state: "RUNNING", uiState: "RUNNING", desiredDisposition: "RUNNING" });
    return;
  }
  requireStartable(vm);
  const { preferredNodeUUID } = vm.affinityStrategy;
  const preference = [preferredNodeUUID, ...state.facts.nodeUUIDs].filter((node) => node !== "");
  const node = requireMemory(state, vm, vm.affinityStrategy.strictAffinity ? [preferredNodeUUID] : preference);
  state.updateVirDomain(vm.uuid, {
    uiState: "STARTING",
    desiredDisposition: "RUNNING",
    nodeUUID: node,
    affinityStrategy: { ...vm.affinityStrategy, preferredNodeUUID: preferredNodeUUID || node },
  });
  schedule(state, vm.uuid, "RUNNING", state.settings.taskMsByKind["start-settle"] ?? state.settings.taskMs / 2);
}

/** What stops a VM from starting at all: no CPU, no memory, or firmware without its store. */
function requireStartable(vm: VirDomain): void {
  const types = new Set(vm.blockDevs.map((device) => device.type));
  const keyword = vm.machineTypeKeyword;
  if (vm.numVCPU < 1) throw new TaskFailure("Unable to start %@: no virtual CPU", [vm.name]);
  if (vm.mem < 2 ** 20) throw new TaskFailure("Unable to start %@: no memory", [vm.name]);
  if (vm.runnable === false) throw new TaskFailure("Unable to start %@: not runnable", [vm.name]);
  if (keyword !== "bios" && !types.has("NVRAM")) throw new TaskFailure("Unable to start %@: no NVRAM", [vm.name]);
  if (keyword.startsWith("tpm") && !types.has("VTPM")) throw new TaskFailure("Unable to start %@: no VTPM", [vm.name]);
}

/** The first of the nodes with room for the VM; the emptiest of several equals. */
function requireMemory(state: ClusterState, vm: VirDomain, nodes: readonly string[]): string {
  const used = memoryByNode(state, vm.uuid);
  const free = (node: string): number => state.settings.nodeMemoryBytes - (used.get(node) ?? 0);
  const [preferred, ...others] = nodes;
  const ordered = [preferred ?? "", ...others.toSorted((left, right) => free(right) - free(left))];
  const node = ordered.find((candidate) => free(candidate) >= vm.mem);
  if (node === undefined) {
    const most = Math.max(...ordered.map(free));
    const parameters = [vm.name, String(vm.mem), String(most)];
    throw new TaskFailure("Unable to start %@: needs %@ bytes of memory, at most %@ are free", parameters);
  }
  return node;
}

/** Memory of the VMs on each node in bytes, leaving one VM out. */
export function memoryByNode(state: ClusterState, except = ""): ReadonlyMap<string, number> {
  const used = new Map<string, number>();
  for (const vm of state.virdomains.values()) {
    if (vm.nodeUUID !== "" && vm.uuid !== except) used.set(vm.nodeUUID, (used.get(vm.nodeUUID) ?? 0) + vm.mem);
  }
  return used;
}
