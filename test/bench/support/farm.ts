import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { startScript } from "../../support/child-process.ts";
import type { FarmOrder, FarmReady } from "./farm-process.ts";

/** Simulated clusters (and a forge) in a process of their own, so that their work is not counted as ours. */
export interface Farm extends AsyncDisposable, FarmReady {}

export async function startFarm(order: FarmOrder): Promise<Farm> {
  const file = fileURLToPath(new URL("farm-process.ts", import.meta.url));
  const { child, output } = await startScript(file, [JSON.stringify(order)], /\n$/);
  const ready = JSON.parse(output) as FarmReady;
  return { ...ready, [Symbol.asyncDispose]: () => stop(child) };
}

async function stop(child: ChildProcess): Promise<void> {
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  await ended;
}

/** Calls a simulated cluster has answered since they were last cleared, by method and path pattern. */
export async function readCalls(url: string): Promise<Readonly<Record<string, number>>> {
  const answer = await fetch(`${url}/_simulator/calls`);
  return ((await answer.json()) as { counts: Record<string, number> }).counts;
}

export async function clearCalls(url: string): Promise<void> {
  await fetch(`${url}/_simulator/calls`, { method: "DELETE" });
}

/** Runs a script of the bench to its end and answers the last line it printed, as JSON. */
export async function runScript<T>(name: string, args: readonly string[]): Promise<T> {
  const file = fileURLToPath(new URL(name, import.meta.url));
  const child = spawn(process.execPath, ["--import", "tsx", file, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`${name} ended with ${code}: ${output}`);
  return JSON.parse(output.trim().split("\n").at(-1) ?? "null") as T;
}
