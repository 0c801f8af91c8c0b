import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { temporaryFolder, TestRepository } from "../../support/git-repository.ts";
import type { BenchRow, Measurement } from "../bench-row.ts";
import { startFarm } from "../support/farm.ts";
import { makeFleet } from "../support/fleet-files.ts";
import { createSeeder } from "../support/seeded-clusters.ts";

const idleMs = 20_000;
const root = fileURLToPath(new URL("../../../", import.meta.url));

/** What the service takes while it has nothing to do. */
export const idleMemory: BenchRow = {
  name: "idle-memory",
  measures:
    `Resident memory of \`kraken-gitops run\` (the built program) with one repository of the three examples and one cluster, ` +
    `${idleMs / 1_000} s after its start, polling every 5 s with nothing to do. Read from /proc, so Linux only.`,
  async run() {
    if (!existsSync("/proc/self/status")) throw new Error("needs /proc");
    await using folder = await temporaryFolder("kraken-bench-");
    const fleet = await makeFleet(3, 1);
    const [cluster = ""] = fleet.clusters;
    const repository = await TestRepository.create(join(folder.path, "fleet.git"));
    await repository.commit(fleet.files);
    const { file } = await (await createSeeder(folder.path)).write(fleet, cluster);
    await using farm = await startFarm({ clusters: [{ stateFile: file }] });
    const config = join(folder.path, "config.yaml");
    await writeFile(join(folder.path, "password"), "admin\n", { mode: 0o600 });
    await writeFile(config, configText(repository.path, cluster, farm.urls[0] ?? ""));
    return await runIdle(config);
  },
};

function configText(repository: string, cluster: string, url: string): string {
  return [
    "instance: bench",
    "dataDir: ./data",
    "repositories:",
    `  - { name: fleet, url: "file://${repository}", path: manifests/, poll: 5s, forge: { type: none } }`,
    "clusters:",
    `  - name: ${cluster}`,
    `    hypercore: { endpoints: ["${url}"], username: admin, passwordFile: ./password }`,
    "log: { level: info, format: json }",
    "",
  ].join("\n");
}

async function runIdle(config: string): Promise<readonly Measurement[]> {
  const args = [join(root, "bin", "kraken-gitops.js"), "run", "--config", config];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  const ended = once(child, "exit");
  try {
    await Promise.race([wait(idleMs), ended]);
    if (child.exitCode !== null || !output.includes('"sync finished"'))
      throw new Error(`the program did not come to rest: ${output.slice(-2_000)}`);
    const own = await residentMiB(child.pid ?? 0);
    const others = await childrenOf(child.pid ?? 0);
    const note = (
      await Promise.all(others.map(async ({ pid, name }) => `${name} ${(await residentMiB(pid)).toFixed(0)} MiB`))
    ).join(", ");
    return [
      { what: "the node process", value: own, unit: "MB", aim: 120, note: `MiB; its children beside it: ${note}` },
    ];
  } finally {
    child.kill("SIGTERM");
    await ended;
  }
}

async function residentMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN) / 1024;
}

async function childrenOf(parent: number): Promise<readonly { readonly pid: number; readonly name: string }[]> {
  const found: { pid: number; name: string }[] = [];
  for (const entry of await readdir("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const status = await readFile(`/proc/${entry}/status`, "utf8").catch(() => "");
    if (new RegExp(`^PPid:\\s+${parent}$`, "m").test(status))
      found.push({ pid: Number(entry), name: /^Name:\s+(.*)$/m.exec(status)?.[1] ?? "" });
  }
  return found;
}
