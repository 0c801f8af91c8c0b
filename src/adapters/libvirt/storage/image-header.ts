import { open } from "node:fs/promises";
import { WatcherError } from "../../../lib/errors.ts";
import type { DesiredAsset } from "../../../fleet/desired-state.ts";
import type { AssetFile } from "../../../ports/asset-store.ts";

/** What an image is, by its own header. */
export interface ImageFacts {
  readonly format: "raw" | "qcow2";
  /** What a guest sees of it. */
  readonly capacityBytes: number;
}

const headerBytes = 112;

/**
 * Reads the header of an image before it is trusted. An image that is qcow2 must say so in the manifest and must stand
 * alone: one that names a backing or data file would show the guest a file of the host (docs/interop/qcow2.txt of QEMU).
 */
export async function readImage(asset: DesiredAsset, file: AssetFile): Promise<ImageFacts> {
  const header = await readStart(file.path);
  const isQcow2 = header.subarray(0, 4).equals(Buffer.from("QFI\u00fb", "latin1"));
  const refuse = (why: string): never => {
    throw new WatcherError("asset-refused", `asset "${asset.name}" ${why}`);
  };
  if (asset.format === "raw" || asset.format === "img") {
    if (isQcow2) refuse("is a qcow2 image, and the manifest calls it raw: write format: qcow2");
    return { format: "raw", capacityBytes: Math.ceil(file.sizeBytes / 512) * 512 };
  }
  if (asset.format !== "qcow2")
    refuse(`has the format ${asset.format}; libvirt hosts take raw and qcow2 (qemu-img convert -O qcow2 makes one)`);
  if (!isQcow2 || header.length < 72) refuse("is no qcow2 image, though the manifest calls it one");
  const version = header.readUInt32BE(4);
  if (version !== 2 && version !== 3) refuse(`is qcow2 of version ${version}; 2 and 3 are known`);
  if (header.readBigUInt64BE(8) !== 0n) refuse("has a backing file; only an image that stands alone can be used");
  const externalData = version === 3 && header.length >= 80 && (header.readBigUInt64BE(72) & 4n) !== 0n;
  if (externalData) refuse("keeps its data in another file; only an image that stands alone can be used");
  return { format: "qcow2", capacityBytes: Number(header.readBigUInt64BE(24)) };
}

async function readStart(path: string): Promise<Buffer> {
  await using file = await open(path);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(headerBytes), 0, headerBytes, 0);
  return buffer.subarray(0, bytesRead);
}
