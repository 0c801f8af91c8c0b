import { describe, expect, it } from "vitest";
import { seedOfRun } from "../crash/chance.ts";
import { crashRun } from "../crash/crash-run.ts";

const seed = seedOfRun("KRAKEN_CRASH_SEED");

/** A short run of `npm run test:crash`, on the built program. */
describe(`killed at random moments (KRAKEN_CRASH_SEED=${seed})`, () => {
  it("ends every sync as wished with watcher, workers, Redis, cluster and forge killed on the way", async () => {
    process.stdout.write(`KRAKEN_CRASH_SEED=${seed}\n`);
    const report = await crashRun({ seed, moments: 8, perSync: 5, chapters: ["create", "rename", "remove", "revert"] });
    expect(report.syncs).toBeGreaterThanOrEqual(4);
    expect(report.moments).toBe(8);
  }, 240_000);
});
