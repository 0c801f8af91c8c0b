import { describe, expect, it } from "vitest";
import { desiredState, desiredVirdomain, liveVirdomain, target, traits } from "../../test/support/virdomains.ts";
import { lossOf } from "../plan/deletion-rules.ts";
import { planCluster } from "../plan/plan-cluster.ts";
import type { Operation } from "../plan/plan.ts";
import { isPermitted, maxRounds, nextPassStep, nextRound } from "./cluster-pass.ts";
import type { ClusterPass, OperationOutcome } from "./sync-record.ts";

const [db, app, web] = ["db", "app", "web"].map((name, step) => desiredVirdomain({ resource: name, name, step }));
if (db === undefined || app === undefined || web === undefined) throw new Error("three VMs");
const desired = desiredState([target("lab", [db, app, web])]);

function operations(): readonly Operation[] {
  return planCluster({
    instance: "edge",
    desired,
    base: undefined,
    live: { cluster: "lab", virdomains: [] },
    traits,
    enforced: new Set(),
    scope: undefined,
  }).operations;
}

function pass(list: readonly Operation[], round = 1): ClusterPass {
  return { cluster: "lab", round, operations: list, conflicts: [], held: undefined, failures: [], completed: [] };
}

const done: OperationOutcome = { kind: "done", atMs: 1, durationMs: 1 };
const failed: OperationOutcome = {
  kind: "failed",
  atMs: 1,
  code: "cluster-full",
  message: "no space",
  fault: "platform",
};
const stale: OperationOutcome = { kind: "stale", atMs: 1, message: "moved" };
const free = { allowed: true, reason: undefined, cause: undefined, losses: [], approvalId: "", budget: 3, losing: [] };
const outcomes = (...pairs: readonly [Operation | undefined, OperationOutcome][]) =>
  new Map(pairs.map(([operation, outcome]) => [operation?.id ?? "", outcome]));
const names = (list: readonly Operation[]): string[] => list.map((operation) => operation.virdomain);

describe("nextPassStep", () => {
  it("begins a step when the one before is done", () => {
    const [first, second, third] = operations();
    const running = (known: Map<string, OperationOutcome>): string[] => {
      const step = nextPassStep(pass(operations()), known, 4);
      return step.kind === "run" ? names(step.operations) : [step.kind];
    };
    expect(running(new Map())).toEqual(["db"]);
    expect(running(outcomes([first, done]))).toEqual(["app"]);
    expect(running(outcomes([first, done], [second, done]))).toEqual(["web"]);
    expect(running(outcomes([first, done], [second, done], [third, done]))).toEqual(["plan-again"]);
  });

  it("lets held operations take no place, and waits when nothing else is left", () => {
    const level = operations().map((operation) => ({ ...operation, step: 0 }));
    const [first, second, third] = level;
    const held = (operation: Operation): boolean => operation.virdomain === "db";
    const step = (known: Map<string, OperationOutcome>) => nextPassStep(pass(level), known, 2, held);
    expect(step(new Map())).toEqual({ kind: "run", operations: [second, third] });
    expect(step(outcomes([second, done], [third, done]))).toEqual({ kind: "wait", operations: [first] });
    expect(step(outcomes([second, done], [third, stale]))).toEqual({ kind: "plan-again" });
  });

  it("holds later steps of a held operation's group with it", () => {
    const [first] = operations();
    expect(nextPassStep(pass(operations()), new Map(), 4, (one) => one.virdomain === "db")).toEqual({
      kind: "wait",
      operations: [first],
    });
  });

  it("begins no more than the cluster takes at once", () => {
    const level = operations().map((operation) => ({ ...operation, step: 0 }));
    const step = nextPassStep(pass(level), new Map(), 2);
    expect(step.kind === "run" && names(step.operations)).toEqual(["db", "app"]);
  });

  it.each([failed, stale])("leaves later steps of the same group after $kind", (outcome) => {
    const [first] = operations();
    expect(nextPassStep(pass(operations()), outcomes([first, outcome]), 4).kind).toBe("plan-again");
  });

  it("goes on in other groups", () => {
    const [first, second] = operations();
    if (second === undefined) throw new Error("two operations");
    const other = { ...second, deployment: "office" };
    const step = nextPassStep(pass([...operations().slice(0, 1), other]), outcomes([first, failed]), 4);
    expect(step.kind === "run" && names(step.operations)).toEqual(["app"]);
  });
});

describe("nextRound", () => {
  it("is finished when a fresh plan has nothing left", () => {
    const step = nextRound(
      pass(operations()),
      outcomes(...operations().map((operation) => [operation, done] as [Operation, OperationOutcome])),
      { operations: [], conflicts: [] },
      free,
      5,
    );
    expect(step).toMatchObject({ kind: "finished", result: { failures: [], blocked: [], atMs: 5 } });
    expect(step.kind === "finished" && step.result.completed).toHaveLength(3);
  });

  it("remembers the snapshots operations began with, also of those that failed", () => {
    const [first, second] = operations();
    const step = nextRound(
      pass(operations()),
      outcomes([first, { ...done, snapshot: "one" }], [second, { ...failed, snapshot: "two" }]),
      { operations: [], conflicts: [] },
      free,
      5,
    );
    expect(step).toMatchObject({ result: { completed: [{ snapshot: "one" }], failures: [{ snapshot: "two" }] } });
  });

  it("has another round for what is left", () => {
    const [first] = operations();
    const step = nextRound(
      pass(operations().slice(0, 1)),
      outcomes([first, done]),
      { operations: operations().slice(1), conflicts: [] },
      free,
      5,
    );
    expect(step.kind === "next-round" && step.pass.round).toBe(2);
  });

  it("does not repeat a failure, and reports what waits for it as blocked", () => {
    const [first] = operations();
    const step = nextRound(
      pass(operations()),
      outcomes([first, failed]),
      { operations: operations(), conflicts: [] },
      free,
      5,
    );
    expect(step).toMatchObject({
      kind: "finished",
      result: {
        failures: [{ virdomain: "db", message: "no space" }],
        blocked: [
          { virdomain: "app", by: "db" },
          { virdomain: "web", by: "db" },
        ],
      },
    });
  });

  it("gives up on a cluster that never comes to rest", () => {
    const step = nextRound(
      pass(operations(), maxRounds),
      new Map(),
      { operations: operations().slice(0, 1), conflicts: [] },
      free,
      5,
    );
    expect(step).toMatchObject({
      kind: "finished",
      result: { failures: [{ virdomain: "db", message: expect.stringContaining("still differs") }] },
    });
  });

  it("leaves losses alone that the deletion rules did not name", () => {
    const removal = planCluster({
      instance: "edge",
      desired: desiredState([]),
      base: desired,
      live: { cluster: "lab", virdomains: [liveVirdomain(web)] },
      traits,
      enforced: new Set(),
      scope: undefined,
    });
    const refused = nextRound(pass([]), new Map(), removal, free, 5);
    expect(refused).toMatchObject({ kind: "finished", result: { refused: ["web"] } });
    const named = nextRound(pass([]), new Map(), removal, { ...free, losses: removal.operations.map(lossOf) }, 5);
    expect(named.kind).toBe("next-round");
    const forbidden = nextRound(
      pass([]),
      new Map(),
      removal,
      { ...free, allowed: false, losses: removal.operations.map(lossOf) },
      5,
    );
    expect(forbidden.kind).toBe("finished");
  });

  it("does not let a loss grow: a removed disk allows no rebuild of the same VM", () => {
    const [first] = operations();
    if (first === undefined) throw new Error("an operation");
    const disk = {
      kind: "disk-remove" as const,
      path: "storage_devices.data",
      from: "5 GiB",
      to: undefined,
      disruption: "data-loss" as const,
      origin: "git" as const,
      lostBytes: 5,
    };
    const update = { ...first, kind: "update" as const, disruption: "data-loss" as const, changes: [disk] };
    const allowed = { ...free, losses: [lossOf(update)] };
    expect(isPermitted(update, allowed)).toBe(true);
    expect(isPermitted({ ...update, changes: [disk, { ...disk, path: "storage_devices.logs" }] }, allowed)).toBe(false);
    expect(isPermitted({ ...update, kind: "replace" }, allowed)).toBe(false);
  });
});
