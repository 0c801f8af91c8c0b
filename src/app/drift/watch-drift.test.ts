import { afterEach, describe, expect, it } from "vitest";
import { DriftLab, idOf } from "../../../test/support/drift-lab.ts";
import { waitFor } from "../../../test/support/wait-for.ts";
import { systemClock } from "../../adapters/system-clock.ts";
import { Handles } from "../../lib/handles.ts";
import { WatcherError } from "../../lib/errors.ts";
import type { StateStore } from "../../ports/state-store.ts";
import { startDriftWatch } from "./watch-drift.ts";

type Parts = Parameters<typeof startDriftWatch>[0];
type Tell = (virdomainId: string | undefined) => void;

let handles = new Handles();
afterEach(async () => {
  await handles[Symbol.asyncDispose]();
  handles = new Handles();
});

/** Leases of one Redis. */
function leases(): Pick<StateStore, "acquireLease"> & { readonly held: Set<string>; readonly refused: string[] } {
  const held = new Set<string>();
  const refused: string[] = [];
  return {
    held,
    refused,
    acquireLease(name) {
      if (held.has(name)) {
        refused.push(name);
        return Promise.resolve(undefined);
      }
      held.add(name);
      const release = (): Promise<void> => Promise.resolve(void held.delete(name));
      return Promise.resolve({ token: 1, renew: () => Promise.resolve(held.has(name)), release });
    },
  };
}

/** A process on a lab, with whoever listens to the cluster at the moment. */
function processOn(lab: DriftLab, shared = leases()) {
  const listeners = new Set<Tell>();
  const opened: string[] = [];
  let clusters: readonly object[] = [{ name: "lab", driver: "libvirt" }];
  let trouble: Error | undefined;
  const watchChanges = (tell: Tell, signal: AbortSignal): Promise<void> => {
    if (trouble !== undefined) return Promise.reject(trouble);
    listeners.add(tell);
    return new Promise((resolve) => {
      signal.addEventListener("abort", () => {
        listeners.delete(tell);
        resolve();
      });
    });
  };
  const { config } = lab.engine;
  const engine = {
    ...lab.engine,
    // Fifty times as fast in its pauses as in its time.
    clock: { now: () => Date.now(), sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(ms / 50, signal) },
    config: () => ({ ...config(), clusters }),
    random: () => 0,
    store: { ...lab.engine.store, acquireLease: shared.acquireLease },
    traits: (driver: string) => ({ ...lab.hypervisor.traits, events: driver === "libvirt" }),
    hypervisor: (name: string) => {
      opened.push(name);
      return Promise.resolve({ ...lab.hypervisor, watchChanges });
    },
  } as unknown as Parts;
  return {
    engine,
    listeners,
    opened,
    shared,
    configure: (next: readonly object[]) => {
      clusters = next;
    },
    fail: (error: Error | undefined) => {
      trouble = error;
    },
  };
}

async function until(what: string, holds: () => boolean): Promise<void> {
  await waitFor(() => (holds() ? true : undefined), { what });
}

describe("watching for drift", () => {
  it("looks at everything once it listens, and at what it is told of from then on", async () => {
    const lab = new DriftLab();
    const { engine, listeners } = processOn(lab);
    handles.use(startDriftWatch(engine));
    await until("the first look", () => lab.reads.length > 0);
    expect(lab.reads).toEqual(["all"]);
    lab.change(idOf("web"), { cpu: 7 });
    for (const tell of listeners) tell(idOf("web"));
    await until("the sync that is asked for", () => lab.asked.length > 0);
    expect(lab.reads).toEqual(["all", idOf("web")]);
  });

  const both = [
    { name: "store", driver: "hypercore" },
    { name: "lab", driver: "libvirt" },
  ];

  it("listens to clusters with events only, where rounds are off", async () => {
    const lab = new DriftLab({ intervalMs: 0 });
    const { engine, opened, configure, shared } = processOn(lab);
    configure(both);
    handles.use(startDriftWatch(engine));
    await until("the listening", () => opened.length > 0);
    expect(opened).toEqual(["lab"]);
    expect([...shared.held]).toEqual(["drift/lab"]);
  });

  it("goes rounds on every cluster, one list call in each, and finds what nobody told of", async () => {
    const lab = new DriftLab({ intervalMs: 1_000, events: false });
    const { engine, listeners, configure } = processOn(lab);
    configure(both.slice(0, 1));
    handles.use(startDriftWatch(engine));
    await until("two rounds", () => lab.reads.length >= 2);
    expect(listeners.size).toBe(0);
    lab.change(idOf("web"), { cpu: 7 });
    await until("the sync that is asked for", () => lab.asked.length > 0);
    expect(new Set(lab.reads)).toEqual(new Set(["all"]));
  });

  it("goes rounds also where it listens: some changes are told by nobody", async () => {
    const lab = new DriftLab({ intervalMs: 1_000 });
    handles.use(startDriftWatch(processOn(lab).engine));
    await until("the first look", () => lab.reads.length > 0);
    lab.change(idOf("web"), { cpu: 7 });
    await until("the sync that is asked for", () => lab.asked.length > 0);
    expect(new Set(lab.reads)).toEqual(new Set(["all"]));
  });

  it("is one process's work, until it ends", async () => {
    const lab = new DriftLab();
    const one = processOn(lab);
    const other = processOn(lab, one.shared);
    const first = startDriftWatch(one.engine);
    await until("the first to listen", () => one.listeners.size === 1);
    handles.use(startDriftWatch(other.engine));
    await until("the other to have tried twice", () => one.shared.refused.length >= 2);
    expect(other.listeners.size).toBe(0);
    await first[Symbol.asyncDispose]();
    expect(one.listeners.size).toBe(0);
    await until("the other to take over", () => other.listeners.size === 1);
  });

  it("follows the configuration: clusters come, change and go", async () => {
    const lab = new DriftLab();
    const { engine, listeners, opened, shared, configure } = processOn(lab);
    let asked = 0;
    const { config } = engine;
    const counting = {
      ...engine,
      config: () => {
        asked += 1;
        return config();
      },
    };
    configure([]);
    handles.use(startDriftWatch(counting));
    await until("the configuration to have been read twice", () => asked >= 2);
    expect(opened).toEqual([]);
    configure([{ name: "lab", driver: "libvirt" }]);
    await until("the cluster that came", () => listeners.size === 1);
    const [before] = listeners;
    configure([{ name: "lab", driver: "libvirt", libvirt: { uri: "qemu+ssh://elsewhere/system" } }]);
    await until("the cluster as it is now", () => listeners.size === 1 && !listeners.has(before as Tell));
    configure([]);
    await until("the cluster to be left", () => listeners.size === 0 && shared.held.size === 0);
  });

  it("goes on after trouble, and says so", async () => {
    const lab = new DriftLab();
    const { engine, listeners, fail } = processOn(lab);
    fail(new WatcherError("cluster-unreachable", "the host is away"));
    handles.use(startDriftWatch(engine));
    await lab.log.says(/the host is away.*cluster cannot be watched for drift now/);
    fail(undefined);
    await until("the listening", () => listeners.size === 1);
  });
});
