import type { DesiredAsset } from "../fleet/desired-state.ts";

/**
 * Images and ISOs behind the assets of manifests: mirrored, downloaded once whoever asks, verified. Errors carry `asset-*`
 * codes.
 */
export interface AssetStore {
  /** Size and version of an asset without transferring it; the version changes when the content does. */
  describe(asset: DesiredAsset, cluster: string, signal: AbortSignal): Promise<AssetDescription>;
  /**
   * The asset as a local file, verified where the URL carries `#sha256=`. The file stays while `signal` is not aborted,
   * and an hour besides. Progress comes a few times a second at most.
   */
  fetch(
    asset: DesiredAsset,
    cluster: string,
    signal: AbortSignal,
    progress?: (doneBytes: number, totalBytes: number) => void,
  ): Promise<AssetFile>;
}

export interface AssetDescription {
  readonly sizeBytes: number;
  /** Short hex text naming this content. */
  readonly version: string;
}

export interface AssetFile {
  readonly path: string;
  readonly sizeBytes: number;
}
