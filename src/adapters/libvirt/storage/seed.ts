import { execFile } from "node:child_process";
import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { parse } from "yaml";
import { WatcherError } from "../../../lib/errors.ts";
import type { DesiredCloudInit } from "../../../fleet/desired-state.ts";
import { type Host, withFolder } from "../host.ts";
import { type Changing, importVolume } from "./volumes.ts";

const run = promisify(execFile);

/**
 * The cloud-init seed of a VM as a volume: an ISO labelled `cidata` with both files, as NoCloud wants it (cloud-init,
 * NoCloud datasource). The texts hold secrets: they are on disk for a moment, for this user alone.
 */
export async function makeSeed(
  host: Host,
  seed: { readonly volume: string; readonly cloudInit: DesiredCloudInit; readonly uuid: string; readonly name: string },
  changing: Changing,
): Promise<void> {
  await withFolder(host, async (folder) => {
    const iso = join(folder, "seed.iso");
    const userData = join(folder, "user-data");
    const metaData = join(folder, "meta-data");
    await writeFile(userData, seed.cloudInit.userData, { mode: 0o600 });
    await writeFile(metaData, completeMetaData(seed.cloudInit.metaData, seed), { mode: 0o600 });
    await buildIso(host, iso, [userData, metaData], changing.signal);
    const { size } = await stat(iso);
    await importVolume(host, seed.volume, iso, size, changing);
  });
}

async function buildIso(host: Host, iso: string, files: readonly string[], signal: AbortSignal): Promise<void> {
  try {
    // 0600 for the ISO, too: xorriso makes it by the umask.
    await writeFile(iso, "", { mode: 0o600 });
    await run("xorriso", ["-as", "mkisofs", "-quiet", "-V", "cidata", "-J", "-r", "-o", iso, ...files], { signal });
  } catch (error) {
    signal.throwIfAborted();
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    throw new WatcherError(
      missing ? "cluster-unsupported" : "cluster-failed",
      missing
        ? `cluster ${host.cluster}: xorriso is not installed here (package xorriso); cloud-init seeds need it`
        : `cluster ${host.cluster}: xorriso could not make the cloud-init seed`,
      { cause: error },
    );
  }
}

/**
 * Without an instance-id cloud-init takes the constant `nocloud` for every VM, and a disk that is used by another VM
 * later would not be initialised.
 */
export function completeMetaData(
  text: string,
  { uuid, name }: { readonly uuid: string; readonly name: string },
): string {
  if (text.trim() === "") return `instance-id: ${uuid}\nlocal-hostname: ${JSON.stringify(name)}\n`;
  const parsed = parseOrNothing(text);
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed) || "instance-id" in parsed) return text;
  if (text.trimStart().startsWith("{")) return JSON.stringify({ "instance-id": uuid, ...parsed });
  return `instance-id: ${uuid}\n${text}`;
}

function parseOrNothing(text: string): unknown {
  try {
    return parse(text) as unknown;
  } catch {
    return undefined;
  }
}
