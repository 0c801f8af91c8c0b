import type { DesiredAsset } from "../../../fleet/desired-state.ts";
import { SharedWork } from "../../../lib/shared-work.ts";
import type { ChangeContext } from "../../../ports/hypervisor.ts";
import { type ClusterAccess } from "../access.ts";
import { interruptible } from "../../boundaries.ts";
import { type ReadyImage, ensureImage } from "./images.ts";
import { ensureIso } from "./isos.ts";
import type { ReadyIso, Transfer } from "./transfer.ts";

/**
 * Images and ISOs of one cluster. The content's version is part of the name, as there is no checksum to compare, so a
 * changed image becomes a new disk. One upload per asset at a time in this process; another process is made room for
 * by looking again right before and right after.
 */
export class ImageLibrary {
  readonly #access: ClusterAccess;
  readonly #images = new SharedWork<ReadyImage>();
  readonly #isos = new SharedWork<ReadyIso>();

  constructor(access: ClusterAccess) {
    this.#access = access;
  }

  async image(asset: DesiredAsset, context: ChangeContext): Promise<ReadyImage> {
    return this.#share(this.#images, asset, context, ensureImage);
  }

  async iso(asset: DesiredAsset, context: ChangeContext): Promise<ReadyIso> {
    return this.#share(this.#isos, asset, context, ensureIso);
  }

  async #share<T>(
    shared: SharedWork<T>,
    asset: DesiredAsset,
    context: ChangeContext,
    ensure: (transfer: Transfer) => Promise<T>,
  ): Promise<T> {
    const work = async (signal: AbortSignal, progress: (text: string) => void): Promise<T> =>
      ensure({ access: this.#access, asset, signal, progress, beforeChange: () => context.beforeChange() });
    return interruptible(context, (signal) =>
      shared.run(`${asset.type} ${asset.id}`, work, signal, (text) => context.progress(text)),
    );
  }
}
