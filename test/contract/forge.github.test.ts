import { afterAll, expect } from "vitest";
import { type GithubBench, startGithubBench } from "../support/github-bench.ts";
import { forgeContract } from "./forge.contract.ts";

const benches: GithubBench[] = [];

forgeContract("github", async () => {
  const bench = await startGithubBench();
  benches.push(bench);
  return bench;
});

// Every request of the adapter and every answer of the simulator in this run, against GitHub's own description.
afterAll(() => {
  expect(benches).toHaveLength(1);
  for (const bench of benches) {
    expect(bench.violations()).toEqual([]);
    expect(bench.operations().size).toBeGreaterThan(14);
  }
});
