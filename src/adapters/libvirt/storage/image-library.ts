import type { DesiredAsset, DesiredDisk } from "../../../fleet/desired-state.ts";
import { SharedWork } from "../../../lib/shared-work.ts";
import type { ChangeContext } from "../../../ports/hypervisor.ts";
import { interruptible } from "../../boundaries.ts";
import { percentTeller } from "../../percent-teller.ts";
import type { Host } from "../host.ts";
import { type ImageFacts, readImage } from "./image-header.ts";
import { assetName, assetPrefix, completeName } from "./volume-names.ts";
import { capacitiesOf, createVolume, deleteVolume, listVolumes } from "./volumes.ts";

/** An image or ISO in the pool, whole. */
export interface ReadyAsset {
  readonly volume: string;
  readonly format: "raw" | "qcow2";
  readonly capacityBytes: number;
}

interface Upload {
  readonly asset: DesiredAsset;
  readonly signal: AbortSignal;
  readonly beforeChange: () => void;
  readonly progress: (text: string) => void;
}

/**
 * Images and ISOs of one host, uploaded once each. An image counts only once its `.complete` volume is there, which is
 * made last. Nothing here is ever deleted but an upload that broke off: VMs may lie on top of an image.
 */
export class ImageLibrary {
  readonly #host: Host;
  readonly #running = new SharedWork<ReadyAsset>();

  constructor(host: Host) {
    this.#host = host;
  }

  /** The assets of these disks by disk name, uploaded side by side; answers when all have ended. */
  async prepare(disks: readonly DesiredDisk[], context: ChangeContext): Promise<Map<string, ReadyAsset>> {
    const wanted = disks.flatMap(({ name, asset }) => (asset === undefined ? [] : [{ name, asset }]));
    const ends = await Promise.allSettled(
      wanted.map(async ({ name, asset }) => [name, await this.#ensure(asset, context)] as const),
    );
    const failed = ends.find((end) => end.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    return new Map(ends.flatMap((end) => (end.status === "fulfilled" ? [end.value] : [])));
  }

  async #ensure(asset: DesiredAsset, context: ChangeContext): Promise<ReadyAsset> {
    return interruptible(context, (signal) =>
      this.#running.run(
        `${asset.type} ${asset.id}`,
        (inner, progress) =>
          ensureAsset(this.#host, { asset, signal: inner, progress, beforeChange: () => context.beforeChange() }),
        signal,
        (text) => context.progress(text),
      ),
    );
  }
}

async function ensureAsset(host: Host, upload: Upload): Promise<ReadyAsset> {
  const { asset, signal } = upload;
  const { version } = await host.assets.describe(asset, host.cluster, signal);
  const name = assetName(host.options.instance, version, extensionOf(asset));
  const ready = await findComplete(host, name, signal);
  if (ready !== undefined) return ready;
  return host.exclusive(`upload/${host.cluster}/${name}`, signal, (held) =>
    bring(host, { ...upload, signal: held }, name),
  );
}

function extensionOf(asset: DesiredAsset): "raw" | "qcow2" | "iso" {
  if (asset.type === "iso") return "iso";
  return asset.format === "qcow2" ? "qcow2" : "raw";
}

async function findComplete(host: Host, name: string, signal: AbortSignal): Promise<ReadyAsset | undefined> {
  // The mark has the size of the image as a guest sees it: libvirt knows that of a qcow2 only after a refresh.
  const { pool } = host.options;
  const both = [completeName(name), name].map((volume) => ({ pool, volume }));
  const capacities = await capacitiesOf(host, both, signal);
  const capacityBytes = capacities.get(`${pool}/${completeName(name)}`);
  if (capacityBytes === undefined || !capacities.has(`${pool}/${name}`)) return undefined;
  return { volume: name, format: name.endsWith(".qcow2") ? "qcow2" : "raw", capacityBytes };
}

async function bring(host: Host, upload: Upload, name: string): Promise<ReadyAsset> {
  const { asset, signal, progress } = upload;
  const before = await findComplete(host, name, signal);
  if (before !== undefined) return before;
  const file = await host.assets.fetch(
    asset,
    host.cluster,
    signal,
    percentTeller(`downloading ${asset.name}`, progress),
  );
  const facts: ImageFacts =
    asset.type === "iso" ? { format: "raw", capacityBytes: file.sizeBytes } : await readImage(asset, file);
  // The mark first: an image that somebody removed may have left it behind, and it must not vouch for half a new one.
  await deleteVolume(host, completeName(name), upload);
  await deleteVolume(host, name, upload);
  await createVolume(host, { name, format: facts.format, capacityBytes: file.sizeBytes }, upload);
  progress(`uploading ${asset.name}`);
  upload.beforeChange();
  await host.virsh.run(["vol-upload", name, file.path, "--pool", host.options.pool, "--sparse"], {
    what: `upload asset "${asset.name}"`,
    signal,
    limitMs: host.timeouts.transferMs,
  });
  const { capacityBytes } = facts;
  await createVolume(host, { name: completeName(name), format: "raw", capacityBytes }, upload);
  progress(`uploading ${asset.name} 100%`);
  return { volume: name, format: facts.format, capacityBytes };
}

/** Uploads that broke off and were not begun anew: removed once two calls in a row have seen them without their mark. */
export class OrphanedUploads {
  #seenBefore = new Set<string>();

  async remove(host: Host, context: ChangeContext): Promise<string[]> {
    const unfinished = await listUnfinished(host, context.signal);
    const removed: string[] = [];
    for (const name of unfinished.filter((each) => this.#seenBefore.has(each))) {
      await host.exclusive(`upload/${host.cluster}/${name}`, context.signal, async (signal) => {
        // Looked at once more by whoever alone may upload it.
        if (!(await listUnfinished(host, signal)).includes(name)) return;
        await deleteVolume(host, name, { signal, beforeChange: () => context.beforeChange() });
        removed.push(name);
      });
    }
    this.#seenBefore = new Set(unfinished);
    return removed;
  }
}

async function listUnfinished(host: Host, signal: AbortSignal): Promise<string[]> {
  const there = await listVolumes(host, assetPrefix(host.options.instance), signal);
  const known = new Set(there);
  return there.filter((name) => !name.endsWith(".complete") && !known.has(completeName(name)));
}
