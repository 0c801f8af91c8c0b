import { describe, expect, it } from "vitest";
import { seedOfRun } from "./chance.ts";
import { crashRun } from "./crash-run.ts";
import { openLibvirtGround } from "./libvirt-ground.ts";

const moments = Number(process.env["KRAKEN_CRASH_MOMENTS"] ?? 200);
const seed = seedOfRun("KRAKEN_CRASH_SEED");
const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

describe(`killed at random moments (KRAKEN_CRASH_SEED=${seed})`, () => {
  it("ends every sync as wished with watcher, workers, Redis, cluster and forge killed", async () => {
    say(`KRAKEN_CRASH_SEED=${seed}`);
    const report = await crashRun({ seed, moments: Math.round(moments * 0.85), perSync: 14, say });
    say(JSON.stringify(report, undefined, 2));
    expect(report.moments).toBe(Math.round(moments * 0.85));
  });

  it("does so too in one process on its private Redis", async () => {
    const report = await crashRun({
      seed: seed + 1_000,
      moments: moments - Math.round(moments * 0.85),
      perSync: 10,
      embedded: true,
      say,
    });
    say(JSON.stringify(report, undefined, 2));
    expect(report.moments).toBe(moments - Math.round(moments * 0.85));
  });

  it("does so too with real VMs on libvirt, its daemon being killed as well", async () => {
    const killed = Math.min(30, moments);
    const report = await crashRun({
      seed: seed + 2_000,
      moments: killed,
      perSync: 6,
      ground: openLibvirtGround,
      machineType: "bios",
      settleMs: 600_000,
      say,
    });
    say(JSON.stringify(report, undefined, 2));
    expect(report.moments).toBe(killed);
  });
});
