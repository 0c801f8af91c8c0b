import {
  findRestorable,
  type MemberSnapshot,
  pickSnapshot,
  reasonToWait,
  type Restorable,
  restoreHeld,
} from "../app/restore/restore-command.ts";
import type { OpenEngine } from "../app/compose.ts";
import { presentOf, type RestoreResult } from "../app/restore/restore-virdomain.ts";
import { readLabel, renderSnapshots } from "../report/snapshot-list.ts";
import { formatTime, relativeTime } from "../report/format.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { complain, print, printJson } from "./output.ts";
import type { GlobalOptions } from "./settings.ts";
import { clusterNames, withEngine } from "./with-engine.ts";

export interface RestoreOptions extends GlobalOptions {
  readonly cluster?: string;
  readonly snapshot?: string;
  readonly yes?: boolean;
  readonly start?: boolean;
}

/** Lists what a VM can go back to, shows what going back would do (exit code 2), or does it. */
export function restoreCommand(name: string, options: RestoreOptions): Promise<ExitCode> {
  return withEngine(options, async (engine, config) => {
    const clusters = clusterNames(config, options.cluster);
    const restorable = await findRestorable(engine, name, clusters, AbortSignal.timeout(300_000));
    if (options.snapshot === undefined) return list(engine, restorable, options);
    const snapshot = pickSnapshot(restorable, options.snapshot);
    return options.yes === true
      ? carryOut(engine, restorable, snapshot, options)
      : preview(engine, restorable, snapshot, options);
  });
}

function list(engine: OpenEngine, { cluster, name, snapshots }: Restorable, { json }: RestoreOptions): ExitCode {
  if (json === true) printJson({ schemaVersion: 1, cluster, virdomain: name, snapshots: snapshots.map(toJson) });
  else print(renderSnapshots(name, snapshots, engine.clock.now()));
  return exitCodes.ok;
}

function toJson({ id, label, takenAtMs, expiresAtMs, member }: MemberSnapshot): object {
  return { id, label, ...readLabel(label), takenAtMs, expiresAtMs, virdomain: member.name, virdomainId: member.id };
}

async function preview(
  engine: OpenEngine,
  restorable: Restorable,
  snapshot: MemberSnapshot,
  { json }: RestoreOptions,
): Promise<ExitCode> {
  const obstacle = await reasonToWait(engine, restorable);
  const { cluster, name } = restorable;
  if (json === true)
    printJson({ schemaVersion: 1, cluster, virdomain: name, snapshot: toJson(snapshot), obstacle: obstacle ?? null });
  else {
    const hypervisor = await engine.hypervisor(cluster);
    for (const line of describe(restorable, snapshot, hypervisor.traits.driver, engine.clock.now())) print(line);
    print(obstacle === undefined ? "Nothing was changed. To do it, add --yes." : `Not possible now: ${obstacle}`);
  }
  return exitCodes.changes;
}

/** What is about to happen, and where everything will be. */
function describe(
  restorable: Restorable,
  { takenAtMs, label, member }: MemberSnapshot,
  driver: "hypercore" | "libvirt",
  nowMs: number,
): string[] {
  const { name, cluster } = restorable;
  const present = presentOf(restorable);
  const inPlace = driver === "libvirt";
  const power = present === undefined || present.power === "shutoff" ? [] : [`  ${present.name} is shut down`];
  const kept =
    present === undefined
      ? []
      : inPlace && present.id === member.id
        ? ["  what its disks hold now is kept in a new snapshot, from which it can be restored in turn"]
        : [`  the VM that is ${name} now goes into quarantine with its disks`];
  const made = inPlace
    ? `  the disks of ${member.name} go back to the snapshot`
    : `  a new VM is made from the snapshot of ${member.name}; its NICs get new MAC addresses`;
  return [
    `${name} on ${cluster} would go back to ${formatTime(takenAtMs)} (${relativeTime(takenAtMs, nowMs)}; ${label}):`,
    ...power,
    made,
    ...kept,
    `  the result is called ${name}, and is left off unless --start is given`,
  ];
}

async function carryOut(
  engine: OpenEngine,
  restorable: Restorable,
  snapshot: MemberSnapshot,
  options: RestoreOptions,
): Promise<ExitCode> {
  const { cluster, name } = restorable;
  const start = options.start === true;
  const work = { restorable, snapshot, start };
  const result = await restoreHeld(engine, work, new AbortController().signal, (text) => complain(text));
  if (options.json === true) printJson({ schemaVersion: 1, cluster, virdomain: name, ...resultJson(result) });
  else for (const line of tell(name, cluster, result, start)) print(line);
  return exitCodes.ok;
}

function resultJson({ live, kept, replaced }: RestoreResult): object {
  return { virdomainId: live.id, keptSnapshot: kept?.id ?? null, replacedVirdomainId: replaced ?? null };
}

function tell(name: string, cluster: string, { live, kept, replaced }: RestoreResult, started: boolean): string[] {
  return [
    `${name} on ${cluster} holds what the snapshot kept (${live.id})${started ? " and was started" : "; it is off"}.`,
    ...(kept === undefined ? [] : [`What it held before is in snapshot ${kept.id}.`]),
    ...(replaced === undefined ? [] : [`What it was before is in quarantine (${replaced}): kraken-gitops quarantine`]),
    "Before you resume syncs, see to it that git asks for this state; then: kraken-gitops resume, kraken-gitops sync",
  ];
}
