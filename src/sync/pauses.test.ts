import { describe, expect, it } from "vitest";
import {
  describePause,
  holdOnCluster,
  holdOnOperation,
  type HoldRules,
  type Pause,
  type PauseScope,
} from "./pauses.ts";

const noon = Date.parse("2026-11-28T12:00:00Z");
const pause = (scope: PauseScope, more: Partial<Pause> = {}): Pause => ({
  scope,
  reason: "moving racks",
  by: "ada",
  atMs: noon,
  untilMs: undefined,
  ...more,
});
const rules = (...pauses: Pause[]): HoldRules => ({ pauses, repositoryWindows: [], clusterWindows: [] });
const place = { repository: "fleet", cluster: "north" };
const operation = { cluster: "north", application: "shop", virdomain: "web" };

describe("a pause", () => {
  it.each<[PauseScope, cluster: boolean, operation: boolean]>([
    [{ kind: "instance" }, true, true],
    [{ kind: "repository", repository: "fleet" }, true, true],
    [{ kind: "repository", repository: "other" }, false, false],
    [{ kind: "cluster", cluster: "north" }, true, true],
    [{ kind: "cluster", cluster: "south" }, false, false],
    [{ kind: "application", application: "shop" }, false, true],
    [{ kind: "application", application: "till" }, false, false],
    [{ kind: "virdomain", cluster: "north", virdomain: "web" }, false, true],
    [{ kind: "virdomain", cluster: "south", virdomain: "web" }, false, false],
    [{ kind: "virdomain", cluster: "north", virdomain: "db" }, false, false],
  ])("of %j holds a cluster: %s, an operation: %s", (scope, onCluster, onOperation) => {
    const found = rules(pause(scope));
    expect(holdOnCluster(found, place, noon) !== undefined).toBe(onCluster);
    expect(holdOnOperation(found, "fleet", operation, noon) !== undefined).toBe(onOperation);
  });

  it("ends by itself", () => {
    const found = rules(pause({ kind: "instance" }, { untilMs: noon + 1 }));
    expect(holdOnCluster(found, place, noon)).toMatchObject({ code: "paused", untilMs: noon + 1 });
    expect(holdOnCluster(found, place, noon + 1)).toBeUndefined();
  });

  it("of the broadest scope is the one that is told, before a closed window", () => {
    const closed = [{ days: ["mon" as const], from: 0, to: 0, timeZone: "Europe/Berlin", deny: false }];
    const windows = { repositoryWindows: closed, clusterWindows: closed };
    expect(holdOnCluster({ ...rules(), ...windows }, place, noon)?.reason).toBe(
      "sync window opens Mon 00:00 Europe/Berlin",
    );
    expect(holdOnCluster({ ...rules(), repositoryWindows: [], clusterWindows: closed }, place, noon)).toMatchObject({
      code: "window-closed",
      reason: "north: sync window opens Mon 00:00 Europe/Berlin",
      untilMs: Date.parse("2026-11-29T23:00:00Z"),
    });
    const both = rules(pause({ kind: "cluster", cluster: "north" }), pause({ kind: "instance" }, { by: "bob" }));
    expect(holdOnCluster({ ...both, ...windows }, place, noon)?.reason).toBe("paused by bob: moving racks");
  });

  it.each<[Pause, string]>([
    [pause({ kind: "instance" }, { untilMs: noon }), "paused by ada until 2026-11-28 12:00 UTC: moving racks"],
    [pause({ kind: "cluster", cluster: "north" }, { reason: "" }), "north paused by ada"],
    [pause({ kind: "application", application: "shop" }), "application shop paused by ada: moving racks"],
    [pause({ kind: "virdomain", cluster: "north", virdomain: "web" }), "web on north paused by ada: moving racks"],
  ])("reads well", (one, text) => {
    expect(describePause(one)).toBe(text);
  });
});
