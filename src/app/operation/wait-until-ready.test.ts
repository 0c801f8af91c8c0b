import { describe, expect, it } from "vitest";
import { freeContext } from "../../../test/support/desired-vm.ts";
import { desiredVirdomain, liveVirdomain } from "../../../test/support/virdomains.ts";
import type { DesiredVirdomain } from "../../fleet/desired-state.ts";
import type { Readiness } from "../../manifest/document.ts";
import type { CloudInitState, Hypervisor } from "../../ports/hypervisor.ts";
import { waitUntilReady } from "./wait-until-ready.ts";

const readiness: Readiness = {
  guestAgent: false,
  cloudInit: true,
  tcp: undefined,
  http: undefined,
  timeoutMs: 60_000,
};
const waiting = desiredVirdomain({ readiness });

/** Waits for a VM whose cloud-init tells these states, one at each look; answers how often it was asked. */
async function wait(desired: DesiredVirdomain, states: readonly CloudInitState[]): Promise<number> {
  let asked = 0;
  let nowMs = 0;
  const hypervisor = {
    findVirdomain: () => Promise.resolve(liveVirdomain(desired)),
    readCloudInit: () => {
      asked += 1;
      return Promise.resolve(states[asked - 1] ?? states.at(-1));
    },
  } as unknown as Hypervisor;
  const clock = {
    now: () => nowMs,
    sleep: (ms: number) => {
      nowMs += ms;
      return Promise.resolve();
    },
  };
  const probe = { tcp: () => Promise.resolve(false), http: () => Promise.resolve(false) };
  await waitUntilReady({ hypervisor, clock, probe }, desired, "uuid-web", freeContext());
  return asked;
}

describe("readiness by cloud-init", () => {
  it("is there once cloud-init is done", async () => {
    expect(await wait(waiting, [{ kind: "unknown" }, { kind: "unknown" }, { kind: "done" }])).toBe(3);
  });

  it("ends with a time-out that says what is missing", async () => {
    await expect(wait(waiting, [{ kind: "unknown" }])).rejects.toMatchObject({
      code: "readiness-timeout",
      message: expect.stringContaining("cloud-init"),
    });
  });

  it("ends at once when cloud-init failed, whatever else is missing", async () => {
    const desired = { ...waiting, readiness: { ...readiness, tcp: 22 } };
    await expect(wait(desired, [{ kind: "failed", message: "no such package" }])).rejects.toMatchObject({
      code: "cloud-init-failed",
      message: "cloud-init failed in VM web: no such package",
    });
  });

  it("is asked of nobody without cloud-init data, nor where it is not wanted", async () => {
    expect(await wait({ ...waiting, cloudInit: undefined }, [])).toBe(0);
    expect(await wait({ ...waiting, readiness: { ...readiness, cloudInit: false } }, [])).toBe(0);
    expect(await wait({ ...waiting, readiness: undefined }, [])).toBe(0);
  });
});
