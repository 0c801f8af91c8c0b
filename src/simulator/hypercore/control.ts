import type { Doorkeeper } from "./auth.ts";
import type { CallLog } from "./calls.ts";
import { isRecord } from "./body.ts";
import type { FaultBoard } from "./faults.ts";
import { switchGuest } from "./guests.ts";
import { badRequest, notFoundPage } from "./refusal.ts";
import { json, type Reply } from "./route.ts";
import type { ClusterState } from "./state.ts";
import type { TaskBoard } from "./tasks.ts";
import { type NodeBoard, nodeHealths, updatePhases } from "./update.ts";

/** Everything the control API may look at or bend. It is not HyperCore's and lives under /_simulator/. */
export interface Controls {
  readonly state: ClusterState;
  readonly tasks: TaskBoard;
  readonly nodes: NodeBoard;
  readonly faults: FaultBoard;
  readonly calls: CallLog;
  readonly doorkeeper: Doorkeeper;
}

type Command = (controls: Controls, body: unknown) => unknown;

const commands: Readonly<Record<string, Command>> = {
  "GET faults": ({ faults }) => faults.list(),
  "POST faults": ({ faults }, body) => {
    for (const rule of Array.isArray(body) ? body : [body]) faults.add(rule);
    return faults.list();
  },
  "DELETE faults": ({ faults }) => {
    faults.clear();
    return {};
  },
  "GET calls": ({ calls, tasks }) => ({ ...calls.report(), peakTasks: tasks.peak, busyRefusals: tasks.busyRefusals }),
  "DELETE calls": ({ calls, tasks }) => {
    calls.clear();
    tasks.forgetRefusals();
    return {};
  },
  "GET state": describeState,
  "POST nodes": setNode,
  "POST update": setUpdate,
  "POST cluster": setCluster,
  "POST virdomains": setGuests,
  "DELETE sessions": ({ doorkeeper }) => {
    doorkeeper.expireSessions();
    return {};
  },
};

/** Runs one control command; `name` is the path below /_simulator/. */
export function control(controls: Controls, method: string, name: string, body: unknown): Reply {
  const command = commands[`${method} ${name}`];
  if (command === undefined) throw notFoundPage();
  return json(JSON.stringify(command(controls, body)));
}

function describeState({ state, tasks, nodes, doorkeeper }: Controls): object {
  return {
    facts: state.facts,
    nodes: nodes.health,
    updatePhase: nodes.phase,
    sessions: doorkeeper.sessions,
    tasksUnderWay: tasks.underWay,
    virdomains: [...state.virdomains.values()],
    guests: Object.fromEntries(state.guests.entries()),
    images: [...state.images.values()],
    isos: [...state.isos.values()],
    contents: Object.fromEntries(state.contents.entries()),
    snapshots: [...state.snapshots.values()].map(({ domain: _domain, ...snapshot }) => snapshot),
  };
}

function record(body: unknown): Record<string, unknown> {
  if (!isRecord(body)) throw badRequest("the body is an object");
  return body;
}

/** `{node, state}`: state is `up`, `down`, `hang` or `bad-gateway`; without `node` all nodes. */
function setNode({ nodes }: Controls, body: unknown): unknown {
  const { node, state } = record(body);
  const health = nodeHealths.find((candidate) => candidate === state);
  if (health === undefined) throw badRequest("no such node state");
  const chosen = typeof node === "number" ? [node] : nodes.health.map((_health, index) => index);
  for (const index of chosen) nodes.setHealth(index, health);
  return nodes.health;
}

/** `{phase}` sets a phase for good; `{version, prepareMs, nodeMs}` runs a whole update. */
function setUpdate({ nodes, state }: Controls, body: unknown): unknown {
  const { phase, version, prepareMs, nodeMs } = record(body);
  if (phase !== undefined) {
    const known = updatePhases.find((candidate) => candidate === phase);
    if (known === undefined) throw badRequest("no such phase");
    nodes.setPhase(known);
    return { phase };
  }
  const target = typeof version === "string" ? version : state.facts.icosVersion;
  const run = { version: target, prepareMs: Number(prepareMs ?? 1000), nodeMs: Number(nodeMs ?? 3000) };
  nodes.run(run, () => state.updateFacts({ icosVersion: target }));
  return run;
}

/** `{storageFull}` and `{icosVersion}`. */
function setCluster({ state, nodes }: Controls, body: unknown): unknown {
  const { storageFull, icosVersion } = record(body);
  if (typeof storageFull === "boolean") state.updateFacts({ storageFull });
  if (typeof icosVersion === "string") {
    state.updateFacts({ icosVersion });
    nodes.setVersion(icosVersion);
  }
  return state.facts;
}

/** `{name, ignoresShutdown?, releasesDisks?, power?}` for every VM whose name matches the regular expression. */
function setGuests({ state }: Controls, body: unknown): unknown {
  const { name, ignoresShutdown, releasesDisks, power } = record(body);
  const pattern = new RegExp(typeof name === "string" ? name : "");
  const chosen = [...state.virdomains.values()].filter((vm) => pattern.test(vm.name)).map((vm) => vm.uuid);
  for (const uuid of chosen) {
    if (typeof ignoresShutdown === "boolean") state.updateGuest(uuid, { ignoresShutdown });
    if (typeof releasesDisks === "boolean") state.updateGuest(uuid, { releasesDisks });
    if (power === "CRASHED" || power === "SHUTOFF") switchGuest(state, uuid, power);
  }
  return chosen;
}
