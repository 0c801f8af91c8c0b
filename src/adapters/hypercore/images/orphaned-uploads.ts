import type { ChangeContext } from "../../../ports/hypervisor.ts";
import { type ClusterAccess } from "../access.ts";
import { checkpoint } from "../../boundaries.ts";
import { listImages, removeImage } from "./images.ts";
import { listIsos, removeIso } from "./isos.ts";
import { isImageName } from "./transfer.ts";

const uploading = /^uploading-/;
/** How long somebody who is uploading that very image is waited for. */
const patienceMs = 2_000;

interface Unfinished {
  /** The record, and how much of it there is: one that grows is on its way. */
  readonly trace: string;
  /** The name it is to have. */
  readonly name: string;
  remove(): Promise<void>;
}

/**
 * Uploads that broke off and that nobody wants any more would stay for ever: those still wanted are removed by the next
 * upload. There is no date on a record, so only what a look an hour before saw as well is removed, and only under a name
 * of ours that nobody of this instance is uploading.
 */
export class OrphanedUploads {
  #seenBefore = new Set<string>();

  async remove(access: ClusterAccess, context: ChangeContext): Promise<string[]> {
    checkpoint(context);
    const unfinished = await listUnfinished(access, context, context.signal);
    const removed: string[] = [];
    for (const each of unfinished) {
      if (this.#seenBefore.has(each.trace) && (await removeUnlessInUse(access, each, context))) removed.push(each.name);
    }
    this.#seenBefore = new Set(unfinished.map(({ trace }) => trace));
    return removed;
  }
}

async function listUnfinished(
  access: ClusterAccess,
  context: ChangeContext,
  signal: AbortSignal,
): Promise<Unfinished[]> {
  const removal = { access, signal, beforeChange: () => context.beforeChange() };
  const images = (await listImages(access, signal)).filter(({ name }) => uploading.test(name));
  const isos = (await listIsos(access, signal)).filter(({ readyForInsert, mounted }) => !readyForInsert && !mounted);
  return [
    ...images.map((image) => ({
      trace: `${image.uuid} ${image.allocatedBytes}`,
      name: image.name.replace(uploading, ""),
      remove: () => removeImage(removal, image),
    })),
    ...isos.map(({ uuid, name }) => ({
      trace: uuid,
      name,
      remove: () => removeIso(removal, uuid),
    })),
  ].filter(({ name }) => isImageName(name));
}

/**
 * False when somebody is uploading it at this very moment, or has finished it since: what is removed is looked at once
 * more by whoever alone may upload it.
 */
async function removeUnlessInUse(
  access: ClusterAccess,
  { trace, name }: Unfinished,
  context: ChangeContext,
): Promise<boolean> {
  const impatience = new AbortController();
  const timer = setTimeout(() => impatience.abort(), patienceMs);
  const waiting = AbortSignal.any([context.signal, impatience.signal]);
  try {
    return await access.exclusive(`upload/${access.cluster}/${name}`, waiting, async (held) => {
      clearTimeout(timer);
      checkpoint(context);
      const still = (await listUnfinished(access, context, held)).find((seen) => seen.trace === trace);
      await still?.remove();
      return still !== undefined;
    });
  } catch (error) {
    if (impatience.signal.aborted) return false;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
