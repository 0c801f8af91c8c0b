import { describe, expect, it } from "vitest";
import { seedOfRun } from "../crash/chance.ts";
import { chaosRun } from "./chaos-run.ts";

const operations = Number(process.env["KRAKEN_CHAOS_OPERATIONS"] ?? 1_000);
const seed = seedOfRun("KRAKEN_CHAOS_SEED");
const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

describe(`a fifth of all calls in trouble (KRAKEN_CHAOS_SEED=${seed})`, () => {
  it(`leaves every VM as wished after ${operations} operations`, async () => {
    say(`KRAKEN_CHAOS_SEED=${seed}`);
    const report = await chaosRun({ seed, operations, say });
    expect(report.operations).toBeGreaterThanOrEqual(operations);
    expect(report.troubledPercent).toBeGreaterThan(15);
  });
});
