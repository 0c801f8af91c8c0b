import { WatcherError } from "../../lib/errors.ts";
import { describeRefusedBase, describeUnsignedHead } from "../../report/signature-text.ts";
import type { Engine, Repository } from "../engine.ts";
import { lastTip } from "../signatures/last-tip.ts";

/**
 * What a merge into this tip is compared with: the tip itself, or what was accepted before it while it is refused. An
 * acceptable merge on top carries out what was refused as well, so its plan shows that too.
 */
export async function comparedWith(
  engine: Pick<Engine, "store">,
  { config, git }: Repository,
  base: string,
  signal: AbortSignal,
): Promise<string> {
  const branch = await engine.store.readBranch(config.name);
  const before = base === branch.observed ? lastTip(branch) : undefined;
  if (before === undefined || before === base) return base;
  try {
    return (await git.readCommit(before, signal)).revision;
  } catch (error) {
    if (error instanceof WatcherError && error.code === "git-revision-missing") return base;
    throw error;
  }
}

/** What a reviewer must know of signatures; nothing where none are required, or while they cannot be checked. */
export async function signatureNotes(
  { log }: Pick<Engine, "log">,
  { config, git }: Repository,
  { head, base, baseBranch }: { readonly head: string; readonly base: string; readonly baseBranch: string },
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (config.signatures === undefined) return [];
  try {
    const verdicts = await git.verifySignatures([head, base], config.signatures, signal);
    const [ofHead, ofBase] = [verdicts.get(head), verdicts.get(base)];
    return [
      ...(ofBase?.kind === "refused" ? [describeRefusedBase(ofBase, base, baseBranch)] : []),
      ...(ofHead?.kind === "refused" ? [describeUnsignedHead(ofHead)] : []),
    ];
  } catch (error) {
    signal.throwIfAborted();
    log.warn({ err: error, repository: config.name, head }, "signatures cannot be checked for a plan");
    return [];
  }
}
