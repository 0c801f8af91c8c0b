import type { DesiredAsset } from "../../../fleet/desired-state.ts";
import { contentHash } from "../../../lib/canonical-json.ts";
import { WatcherError } from "../../../lib/errors.ts";
import type { AssetFile } from "../../../ports/asset-store.ts";
import { filePieces } from "../../file-pieces.ts";
import { percentTeller } from "../../percent-teller.ts";
import type { ClusterAccess } from "../access.ts";
import type { BodyStream, RawRequest } from "../rest/node-connection.ts";

/** An ISO on the cluster, ready to be inserted. */
export interface ReadyIso {
  readonly path: string;
  readonly name: string;
}

/** What a transfer to a cluster works with; `beforeChange` stands for whoever asked first. */
export interface Transfer {
  readonly access: ClusterAccess;
  readonly asset: DesiredAsset;
  readonly signal: AbortSignal;
  readonly beforeChange: () => void;
  readonly progress: (text: string) => void;
}

/** The cluster takes the format from the extension; `raw` is uploaded as `.img`. */
const extensions: Readonly<Record<string, string>> = {
  raw: "img",
  img: "img",
  qcow2: "qcow2",
  vmdk: "vmdk",
  vhd: "vhd",
  vhdx: "vhdx",
  iso: "iso",
};

/** `<asset>-<version>.<extension>`, with odd characters and overlong names made safe without two assets meeting. */
export function imageName(asset: DesiredAsset, version: string): string {
  const extension = asset.type === "iso" ? "iso" : extensions[asset.format];
  if (extension === undefined)
    throw new WatcherError(
      "asset-refused",
      `asset "${asset.name}": HyperCore cannot import the format ${asset.format}`,
    );
  const plain = asset.name.replaceAll(/[^A-Za-z0-9_.-]+/g, "-").slice(0, 60);
  const name = plain === asset.name ? plain : `${plain}-${contentHash(asset.name, 6)}`;
  return `${name}-${version.slice(0, 12)}.${extension}`;
}

/** Whether a record of that name is one of ours, or looks very much like it. */
export function isImageName(name: string): boolean {
  return /^[A-Za-z0-9_.-]+-[0-9a-f]{12}\.[a-z0-9]+$/.test(name);
}

/** What removing a record takes. */
export type Removal = Pick<Transfer, "access" | "signal" | "beforeChange">;

export async function fetchAsset({ access, asset, signal, progress }: Transfer): Promise<AssetFile> {
  const tell = percentTeller(`downloading ${asset.name}`, progress);
  return access.assets.fetch(asset, access.cluster, signal, tell);
}

type FileBody = { readonly body: BodyStream } & Required<Pick<RawRequest, "headers" | "bodyBytes">>;

/** The file as a request body of known length, streamed; `Content-Length` is required and chunks are refused. */
export function fileBody(transfer: Transfer, file: AssetFile): FileBody {
  const tell = percentTeller(`uploading ${transfer.asset.name}`, transfer.progress);
  return {
    headers: { "content-type": "application/octet-stream" },
    bodyBytes: file.sizeBytes,
    async *body(touch: () => void): AsyncGenerator<Buffer> {
      let sentBytes = 0;
      for await (const piece of filePieces(file.path, "fresh")) {
        yield piece;
        touch();
        sentBytes += piece.length;
        tell(sentBytes, file.sizeBytes);
      }
    },
  };
}
