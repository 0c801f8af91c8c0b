import type { Call, CallReport } from "../../src/simulator/hypercore/calls.ts";
import { doubledImages, type Evidence } from "./compare.ts";
import type { CrewCounts } from "./crew.ts";

export interface ChaosReport {
  readonly operations: number;
  /** Calls that met a fault, in percent of all. */
  readonly troubledPercent: number;
  /** Some lines with the seed and the counts. */
  readonly summary: string;
  /** What was compared at the end. */
  readonly evidence: Evidence;
}

interface Facts {
  readonly seed: number;
  readonly version: string;
  readonly revisions: number;
  readonly superseded: number;
  readonly crew: CrewCounts;
  readonly calls: CallReport;
  readonly events: Readonly<Record<string, number>>;
  readonly evidence: Evidence;
}

export function reportOf({ seed, version, revisions, superseded, crew, calls, events, evidence }: Facts): ChaosReport {
  const api = only(calls.counts, (pattern) => !pattern.includes("/_simulator/"));
  const changing = only(api, (pattern) => !pattern.startsWith("GET ") && !/\/log(in|out)$/.test(pattern));
  const operations = sumOf(crew.operations);
  const troubledPercent = (100 * calls.troubled) / sumOf(api);
  const sent = Object.entries(crew.operations).map(
    ([kind, count]) => `${kind} ${((crew.changes[kind] ?? 0) / count).toFixed(1)}`,
  );
  const shared = calls.busy.filter((call) => !isOurFault(call)).length;
  const lines = [
    `KRAKEN_CHAOS_SEED=${seed} on ${version}: ${operations} operations ${JSON.stringify(crew.operations)} for ${revisions} revisions (${superseded} superseded), ended ${JSON.stringify(crew.outcomes)}`,
    `${sumOf(api)} calls (${(sumOf(api) / operations).toFixed(1)} per operation), ${troubledPercent.toFixed(1)} % met a fault`,
    `${sumOf(changing)} calls change something (${(sumOf(changing) / operations).toFixed(1)} per operation; announced per ${sent.join(", ")})`,
    `${calls.busy.length - shared} sent to something busy, ${shared} to an image or ISO another process worked on`,
    `by kind ${JSON.stringify(changing).replaceAll("/rest/v1/", "")}`,
    `events ${JSON.stringify(events)}, ${crew.attempts} attempts, repeated ${JSON.stringify(crew.retries)}, given up ${crew.givenUp.length}`,
    `left: ${doubledImages(evidence.state)} images twice, ${evidence.state.sessions} sessions open`,
  ];
  return { operations, troubledPercent, summary: lines.join("\n"), evidence };
}

/** Changing calls that somebody sent although they could know that a task was under way. */
export function troublesOf(busy: readonly Call[]): readonly string[] {
  return busy.filter(isOurFault).map(describeBusy);
}

/**
 * VMs have one writer, so nothing may be sent to one with a task under way. An image or ISO tells nobody that a task
 * works on it: only the process that began the task can know, and the two here differ in their credentials.
 */
function isOurFault({ busy }: Call): boolean {
  return busy !== undefined && (busy.object === "virdomain" || busy.sender === busy.holder);
}

function describeBusy({ method, path, status, busy }: Call): string {
  return `sent to a busy ${busy?.object}: ${method} ${path} (${status}; task by ${busy?.holder}, sent by ${busy?.sender})`;
}

export function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

function only(counts: Readonly<Record<string, number>>, wanted: (key: string) => boolean): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter(([key]) => wanted(key)));
}
