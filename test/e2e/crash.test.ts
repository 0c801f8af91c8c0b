import { describe, expect, it } from "vitest";
import { seedOfRun } from "../crash/chance.ts";
import { crashRun } from "../crash/crash-run.ts";

const seed = seedOfRun();

/** A short run of `npm run test:crash`, on the built program. */
describe(`killed at random moments (KRAKEN_CRASH_SEED=${seed})`, () => {
  it("ends three syncs as wished with watcher, workers, Redis, cluster and forge killed on the way", async () => {
    process.stdout.write(`KRAKEN_CRASH_SEED=${seed}\n`);
    const report = await crashRun({ seed, moments: 9, perSync: 4, chapters: ["create", "resize", "describe"] });
    expect(report.syncs).toBeGreaterThanOrEqual(3);
    expect(report.moments).toBe(9);
  }, 240_000);
});
