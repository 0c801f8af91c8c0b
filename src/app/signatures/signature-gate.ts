import { WatcherError } from "../../lib/errors.ts";
import { describeRefused, describeSignature } from "../../report/signature-text.ts";
import { describeHeld } from "../../report/status-text.ts";
import type { BranchRecord } from "../../ports/state-store.ts";
import type { Engine, Repository } from "../engine.ts";
import { statusEntry } from "../outbox/messages.ts";

declare const accepted: unique symbol;
/** A commit that may be carried out. Only the gate makes one, and a sync takes nothing else. */
export type AcceptedRevision = string & { readonly [accepted]: true };

export type Passage =
  | { readonly kind: "accepted"; readonly revision: AcceptedRevision }
  | { readonly kind: "refused"; readonly why: string };

/**
 * Lets a commit pass that bears an acceptable signature, or any commit where none is required. The tree that is carried
 * out is the tip's, so the tip's signature is the one that counts. Throws `signatures-unavailable`: then nothing passes.
 */
export async function passGate(
  engine: Pick<Engine, "log">,
  repository: Repository,
  revision: string,
  signal: AbortSignal,
): Promise<Passage> {
  const { signatures, name } = repository.config;
  if (signatures === undefined) return { kind: "accepted", revision: revision as AcceptedRevision };
  const verdict = (await repository.git.verifySignatures([revision], signatures, signal)).get(revision);
  if (verdict?.kind === "good") {
    const { signer, key } = verdict;
    engine.log.info({ repository: name, revision, signer, key }, "signed by an allowed signer");
    return { kind: "accepted", revision: revision as AcceptedRevision };
  }
  return { kind: "refused", why: describeRefused(verdict ?? unsigned) };
}

/** As `passGate` for a branch's tip. While signatures cannot be checked, the tip says that it waits: once, not at each poll. */
export async function passOrHold(
  engine: Engine,
  repository: Repository,
  tip: string,
  before: BranchRecord,
  signal: AbortSignal,
): Promise<Passage> {
  try {
    return await passGate(engine, repository, tip, signal);
  } catch (error) {
    if (!(error instanceof WatcherError) || error.code !== "signatures-unavailable") throw error;
    const { name } = repository.config;
    const told = before.observed === tip && (await engine.store.readCondition(name))?.code === error.code;
    if (!told && (await engine.store.listUnsettledCommits(name)).includes(tip)) {
      const place = { repository: name, prefix: engine.config().statusPrefix, context: "sync" as const };
      await engine.store.appendOutbox([statusEntry(place, tip, "latest", "pending", describeHeld([unchecked]))]);
      await engine.queue.addDelivery({ schemaVersion: 1, repository: name }, `unchecked-${tip}`);
    }
    throw error;
  }
}

/** The forge's readers need not know where keys lie: `status` and the log say what is wrong. */
const unchecked = "signatures cannot be checked now, see kraken-gitops status";

const unsigned = { kind: "refused", reason: "unsigned", by: undefined, key: undefined } as const;

/** Commits whose words count: those with an acceptable signature, or all where none is required. */
export async function whoseWordsCount(
  engine: Pick<Engine, "log">,
  repository: Repository,
  commits: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const { signatures, name } = repository.config;
  if (signatures === undefined || commits.length === 0) return new Set(commits);
  const verdicts = await repository.git.verifySignatures(commits, signatures, signal);
  const refused = [...verdicts].flatMap(([commit, verdict]) => (verdict.kind === "good" ? [] : [{ commit, verdict }]));
  for (const { commit, verdict } of refused)
    engine.log.warn(
      { repository: name, commit, why: describeSignature(verdict) },
      "approval in this commit does not count",
    );
  return new Set(commits.filter((commit) => verdicts.get(commit)?.kind === "good"));
}
