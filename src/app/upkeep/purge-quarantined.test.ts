import { describe, expect, it } from "vitest";
import { freeContext } from "../../../test/support/desired-vm.ts";
import { recordLog } from "../../../test/support/recorded-log.ts";
import { desiredVirdomain, liveVirdomain } from "../../../test/support/virdomains.ts";
import type { LiveVirdomain, OwnershipMark } from "../../plan/live-state.ts";
import { toLiveState } from "../../plan/live-state.ts";
import type { Hypervisor } from "../../ports/hypervisor.ts";
import { type PurgingEngine, purgeQuarantined } from "./purge-quarantined.ts";

const dayMs = 86_400_000;
const present = liveVirdomain(desiredVirdomain(), { power: "shutoff", name: "web.quarantined-ccccccc" });
const quarantine = { atMs: dayMs, untilMs: 8 * dayMs, revision: "c".repeat(40), name: "web" };
const aside: LiveVirdomain = { ...present, mark: { ...(present.mark as OwnershipMark), quarantine } };

interface Case {
  readonly nowMs?: number;
  /** What a second look at the VM finds. */
  readonly found?: LiveVirdomain | undefined;
  readonly leased?: boolean;
  readonly repositories?: readonly { readonly name: string }[];
  readonly clockJumpsTo?: number;
}

/** Looks through a cluster with one VM in quarantine; answers what was deleted. */
async function purge(changes: Case): Promise<readonly string[]> {
  const { nowMs = 9 * dayMs, leased = false, repositories = [{ name: "other" }], clockJumpsTo } = changes;
  let now = nowMs;
  const deleted: string[] = [];
  const hypervisor = {
    cluster: "lab",
    readLiveState: () => Promise.resolve(toLiveState("lab", [aside])),
    findVirdomain: () => Promise.resolve("found" in changes ? changes.found : aside),
    delete: (live: LiveVirdomain, context: { beforeChange(): void }) => {
      now = clockJumpsTo ?? now;
      context.beforeChange();
      deleted.push(live.id);
      return Promise.resolve();
    },
  } as unknown as Hypervisor;
  const lease = { token: 1, renew: () => Promise.resolve(true), release: () => Promise.resolve() };
  const engine = {
    clock: { now: () => now },
    config: () => ({ instance: "edge", repositories }),
    log: recordLog().log,
    repository: () => Promise.reject(new Error("the mirror is broken")),
    store: {
      acquireLease: () => Promise.resolve(leased ? undefined : lease),
      readCondition: () => Promise.resolve({ ok: true }),
      readBranch: () => Promise.resolve({ observed: "b".repeat(40), synced: "b".repeat(40), currentSync: "s" }),
      readSync: () => Promise.resolve({ record: { revision: "b".repeat(40) }, state: { kind: "finished" } }),
    },
  } as unknown as PurgingEngine;
  await purgeQuarantined(engine, hypervisor, freeContext());
  return deleted;
}

describe("a VM whose quarantine is over", () => {
  it("is deleted, once nobody has a say any more", async () => {
    expect(await purge({})).toEqual([aside.id]);
  });

  it.each<[string, Case]>([
    ["another process brings it back just now", { leased: true }],
    ["it came back between two looks", { found: { ...present, power: "running", name: "web" } }],
    ["it was switched on between two looks", { found: { ...aside, power: "running" } }],
    ["it is gone already", { found: undefined }],
    ["its time is not over", { nowMs: 8 * dayMs - 1 }],
    ["no repository is configured", { repositories: [] }],
    ["its repository cannot be read", { repositories: [{ name: "fleet" }] }],
    ["the process slept through its lease", { clockJumpsTo: 10 * dayMs }],
  ])("stays when %s", async (_title, changes) => {
    expect(await purge(changes)).toEqual([]);
  });
});
