import { defineConfig } from "vitest/config";

const random = ["test/e2e/crash.test.ts", "test/e2e/chaos.test.ts"];
const core = ["src/**/*.test.ts", "test/{config,docs,report}/**/*.test.ts"];
const road = ["test/{cli,contract,e2e,libvirt,simulator}/**/*.test.ts"];

export default defineConfig({
  test: {
    // Tests of the road mostly wait for processes: two files at a time fit on two cores.
    maxWorkers: 2,
    // Tests wait for conditions: a limit only ends what will never come, and a machine may be slow.
    testTimeout: 90_000,
    hookTimeout: 90_000,
    reporters: ["default"],
    projects: [
      // Rules and properties. Modules hold caches at most, no state: one process loads them once for many files.
      { extends: true, test: { name: "core", include: core, isolate: false } },
      // Random kills and random faults: a failure is a fact, whatever a second run would say.
      { extends: true, test: { name: "random", include: random } },
      // Many real processes on a machine that may be busy: one that was starved gets a second, reported, chance.
      { extends: true, test: { name: "road", include: road, exclude: random, retry: 1 } },
    ],
  },
});
