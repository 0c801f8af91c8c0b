import { once } from "node:events";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { openAssetStore } from "../../../src/adapters/assets/asset-store.ts";
import { openHypercore } from "../../../src/adapters/hypercore/driver.ts";
import type { DesiredAsset } from "../../../src/fleet/desired-state.ts";
import { startScript } from "../../support/child-process.ts";
import { imageDisk } from "../../support/desired-vm.ts";
import { temporaryFolder } from "../../support/git-repository.ts";
import { type BenchRow, count, type Measurement } from "../bench-row.ts";
import { benchInstance } from "../support/bench-config.ts";
import { startFarm } from "../support/farm.ts";
import { memoryMB, watched } from "../support/memory.ts";

const imageBytes = 1e10;
const server = fileURLToPath(new URL("../support/image-process.ts", import.meta.url));

/** Memory must not grow with the image. */
export const largeAsset: BenchRow = {
  name: "large-asset",
  measures:
    `An image of ${count(imageBytes / 1e9)} GB from a web server into the cache (hashed, synced), and from there through the driver onto a ` +
    "simulated cluster, both in processes of their own on this machine. Peak of our resident memory over what it was before both, " +
    "read from /proc, so Linux only. The cluster must have received what the server sent.",
  async run() {
    await using folder = await temporaryFolder("kraken-bench-");
    await using farm = await startFarm({ clusters: [{ taskMs: 1, convertMs: 1 }] });
    const { child, output } = await startScript(server, [String(imageBytes)], /\n$/);
    try {
      return await measure(folder.path, output.trim(), farm.urls[0] ?? "");
    } finally {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
    }
  },
};

async function measure(folder: string, origin: string, cluster: string): Promise<readonly Measurement[]> {
  const assets = await openAssetStore({ cacheDir: join(folder, "cache"), mirrors: [], allowHttp: true });
  const driver = await openHypercore({
    cluster: "sample",
    endpoints: [cluster],
    username: "admin",
    password: () => Promise.resolve("admin"),
    instance: benchInstance,
    assets,
  });
  try {
    await driver.readLiveState(AbortSignal.timeout(10_000));
    const asset: DesiredAsset = {
      id: "large",
      name: "large",
      type: "virtual_disk",
      format: "raw",
      url: `${origin}/a.img`,
    };
    const { signal } = new AbortController();
    const context = { signal, stop: signal, beforeChange() {}, progress() {} };
    const before = await memoryMB("VmRSS");
    const download = await watched(before, async () => assets.fetch(asset, "sample", signal));
    const upload = await watched(before, async () => driver.prepare([imageDisk("system", asset)], context));
    await requireSame(cluster, basename(download.result.path));
    return [
      { what: "download: memory", value: download.grownMB, unit: "MB", aim: 64, note: download.note },
      { what: "download: time", value: download.seconds, unit: "s", aim: undefined, note: rate(download.seconds) },
      { what: "upload: memory", value: upload.grownMB, unit: "MB", aim: 64, note: upload.note },
      { what: "upload: time", value: upload.seconds, unit: "s", aim: undefined, note: rate(upload.seconds) },
    ];
  } finally {
    await driver[Symbol.asyncDispose]();
    await assets[Symbol.asyncDispose]();
  }
}

function rate(seconds: number): string {
  return `${(imageBytes / 1e6 / seconds).toFixed(0)} MB/s`;
}

async function requireSame(cluster: string, sha256: string): Promise<void> {
  const state = await (await fetch(`${cluster}/_simulator/state`)).text();
  if (!state.includes(sha256))
    throw new Error(`the cluster has not got the content ${sha256}: ${state.slice(0, 2_000)}`);
}
