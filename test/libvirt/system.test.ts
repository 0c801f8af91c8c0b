import { execFile, execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import type { LiveNic } from "../../src/plan/live-state.ts";

const run = promisify(execFile);
const script = fileURLToPath(new URL("../support/libvirt-system.sh", import.meta.url));
const road = fileURLToPath(new URL("../support/libvirt-system-road.ts", import.meta.url));
const namespaces = ["--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"];

/** Why this machine cannot have namespaces of its own, or undefined. */
function obstacle(): string | undefined {
  if (process.getuid?.() !== 0) return "only root may run a system libvirtd";
  try {
    execFileSync("unshare", [...namespaces, "ip", "link", "add", "kg-try", "type", "bridge"], { stdio: "ignore" });
    return undefined;
  } catch {
    return "this machine allows no network namespaces or bridges";
  }
}

const reason = obstacle();

it.skipIf(reason !== undefined)(
  `brings a guest up on qemu:///system, on a network and on a bridge, and reaches it${reason === undefined ? "" : ` (skipped: ${reason})`}`,
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "kg-sys-"));
    try {
      // QEMU's user must be able to enter.
      await run("chmod", ["711", folder]);
      const command = [script, folder, process.execPath, "--import", "tsx", road];
      const { stdout } = await run("unshare", [...namespaces, ...command], { maxBuffer: 2 ** 20 });
      const seen = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as {
        readonly findings: readonly string[];
        readonly nics: readonly LiveNic[];
        readonly agent: boolean;
        readonly left: readonly string[];
        readonly nodes: readonly { readonly memoryBytes: number }[];
        readonly tiers: readonly { readonly totalBytes: number }[];
      };
      expect(seen.findings.join("\n")).toMatch(/pool kraken has .* free/);
      expect(seen.nics.map(({ name, network }) => [name, network])).toEqual([
        ["lan", { network: "default" }],
        ["direct", { bridge: "virbr0" }],
      ]);
      for (const { addresses } of seen.nics) expect(addresses).toEqual([expect.stringMatching(/^192\.168\.122\.\d+$/)]);
      expect(seen.agent).toBe(true);
      expect(seen.left).toEqual([]);
      expect(seen.nodes[0]?.memoryBytes).toBeGreaterThan(2 ** 30);
      expect(seen.tiers[0]?.totalBytes).toBeGreaterThan(2 ** 30);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
  300_000,
);
