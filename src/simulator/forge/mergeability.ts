import { findBranch, moveRef, ZERO_SHA } from "./git-objects.ts";
import { FORGE_IDENTITY, makeMergeCommit } from "./merging.ts";
import type { PullRecord } from "./records.ts";
import type { Repositories } from "./repositories.ts";
import type { Store } from "./store.ts";

interface Verdict {
  readonly base: string;
  readonly head: string;
  asked: boolean;
  result: { readonly mergeable: boolean; readonly testMerge: string | undefined } | undefined;
}

export interface MergeableAnswer {
  /** null: not known yet, ask again. */
  readonly mergeable: boolean | null;
  readonly testMerge: string | undefined;
}

/**
 * The test merge of every open pull request, kept in `refs/pull/N/merge`. As on GitHub it is made in the background,
 * and the first question after a change is answered with null, here always, so that clients cannot rely on luck.
 */
export class Mergeability {
  readonly #store: Store;
  readonly #repositories: Repositories;
  readonly #verdicts = new Map<number, Verdict>();
  readonly #pullRefs: string;
  readonly #running = new Set<Promise<void>>();

  constructor(store: Store, repositories: Repositories, pullRefs: string) {
    this.#store = store;
    this.#repositories = repositories;
    this.#pullRefs = pullRefs;
  }

  async ask(pull: PullRecord): Promise<MergeableAnswer> {
    const verdict = await this.#verdictOf(pull);
    const first = verdict?.asked === false;
    if (verdict) verdict.asked = true;
    if (verdict?.result === undefined || first) return { mergeable: null, testMerge: undefined };
    return verdict.result;
  }

  /** Begins the test merge without waiting for it: after a pull request was opened or its head was pushed. */
  async warm(pull: PullRecord): Promise<void> {
    await this.#verdictOf(pull);
  }

  /** Waits for test merges under way. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  async #verdictOf(pull: PullRecord): Promise<Verdict | undefined> {
    const repository = this.#store.repositories.get(pull.repository);
    if (pull.state !== "open" || repository === undefined) return undefined;
    const directory = this.#repositories.directory(repository);
    const base = await findBranch(directory, pull.baseBranch);
    if (base === undefined) return undefined;
    const known = this.#verdicts.get(pull.id);
    if (known && known.base === base && known.head === pull.headSha) return known;
    const verdict: Verdict = { base, head: pull.headSha, asked: false, result: undefined };
    this.#verdicts.set(pull.id, verdict);
    const run = this.#repositories
      .exclusively(repository, () => testMerge(directory, `${this.#pullRefs}/${pull.number}/merge`, verdict))
      .catch(() => {
        // The branch moved away under the test merge: the next question starts another one.
        this.#verdicts.delete(pull.id);
      });
    this.#running.add(run);
    void run.finally(() => this.#running.delete(run));
    return verdict;
  }
}

async function testMerge(directory: string, ref: string, verdict: Verdict): Promise<void> {
  const commit = await makeMergeCommit(directory, {
    base: verdict.base,
    head: verdict.head,
    author: FORGE_IDENTITY,
    committer: FORGE_IDENTITY,
    message: `Merge ${verdict.head} into ${verdict.base}`,
  });
  await moveRef(directory, ref, commit ?? ZERO_SHA);
  verdict.result = { mergeable: commit !== undefined, testMerge: commit };
}
