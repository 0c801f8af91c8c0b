import { execFile } from "node:child_process";
import { truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { openHypercore } from "../../../src/adapters/hypercore/driver.ts";
import type { DesiredAsset } from "../../../src/fleet/desired-state.ts";
import type { AssetStore } from "../../../src/ports/asset-store.ts";
import { imageDisk } from "../../support/desired-vm.ts";
import { temporaryFolder } from "../../support/git-repository.ts";
import type { BenchRow, Measurement } from "../bench-row.ts";
import { benchInstance } from "../support/bench-config.ts";
import { startFarm } from "../support/farm.ts";

const sizeBytes = 2 * 2 ** 30;
const times = 3;
const run = promisify(execFile);

/** How much of the network's speed reaches the cluster. */
export const uploadThroughput: BenchRow = {
  name: "upload-throughput",
  measures:
    "An image of 2 GiB brought onto a simulated cluster in another process, which hashes what it gets: by the driver (its looks at the " +
    "cluster and the wait for the image's final name included), and by `curl -T` of the same file to the same server, in turn, best of three each.",
  async run() {
    await using folder = await temporaryFolder("kraken-bench-");
    const file = join(folder.path, "image.img");
    await writeFile(file, "");
    await truncate(file, sizeBytes);
    await using farm = await startFarm({ clusters: [{ taskMs: 1, convertMs: 1 }] });
    const url = farm.urls[0] ?? "";
    const driver: number[] = [];
    const curl: number[] = [];
    for (let turn = 0; turn < times; turn += 1) {
      driver.push(await byDriver(url, file, turn));
      const seconds = await byCurl(url, file, turn);
      if (seconds === undefined) return [missing(Math.min(...driver))];
      curl.push(seconds);
    }
    return toMeasurements(driver, curl);
  },
};

function toMeasurements(driver: readonly number[], curl: readonly number[]): readonly Measurement[] {
  const speed = (seconds: readonly number[]): string =>
    `${(sizeBytes / 2 ** 20 / Math.min(...seconds)).toFixed(0)} MiB/s`;
  const list = (seconds: readonly number[]): string => seconds.map((each) => each.toFixed(2)).join(", ");
  return [
    {
      what: "the driver's speed as a share of curl's",
      value: (100 * Math.min(...curl)) / Math.min(...driver),
      unit: "%",
      aim: 80,
      bound: "least",
      note: `driver ${speed(driver)} (${list(driver)} s), curl ${speed(curl)} (${list(curl)} s)`,
    },
  ];
}

function missing(seconds: number): Measurement {
  const note = "there is no curl on this machine to compare with";
  return { what: "2 GiB by the driver", value: seconds, unit: "s", aim: undefined, note };
}

async function byDriver(url: string, file: string, turn: number): Promise<number> {
  const asset: DesiredAsset = {
    name: `image-${turn}`,
    type: "virtual_disk",
    format: "raw",
    url: `https://images.example/${turn}.img`,
    id: `0000000000${turn}`,
  };
  await using driver = await openHypercore({
    cluster: "site",
    endpoints: [url],
    username: "admin",
    password: () => Promise.resolve("admin"),
    instance: benchInstance,
    assets: storeOf(file),
  });
  const never = new AbortController().signal;
  const began = performance.now();
  await driver.prepare([imageDisk("root", asset)], { signal: never, stop: never, beforeChange() {}, progress() {} });
  return (performance.now() - began) / 1_000;
}

/** The file is at hand: how it comes here is not what this row is about. */
function storeOf(path: string): AssetStore {
  return {
    describe: () => Promise.resolve({ sizeBytes, version: "f".repeat(12) }),
    fetch: () => Promise.resolve({ path, sizeBytes }),
  };
}

/** Seconds, or undefined where there is no curl. */
async function byCurl(url: string, file: string, turn: number): Promise<number | undefined> {
  const address = `${url}/rest/v1/VirtualDisk/upload?filename=curl-${turn}.img&filesize=${sizeBytes}`;
  const began = performance.now();
  try {
    await run("curl", ["--silent", "--show-error", "--fail", "--user", "admin:admin", "-T", file, address]);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  return (performance.now() - began) / 1_000;
}
