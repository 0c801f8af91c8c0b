import { emitPull, emitPush, type RefChange } from "./events.ts";
import type { ForgeContext } from "./context.ts";
import { gitLines } from "./git-command.ts";
import { copyRef, findBranch, isAncestor, listCommits, listRefs, moveRef, ZERO_SHA } from "./git-objects.ts";
import type { MergeRecord, PullRecord, RepositoryRecord } from "./records.ts";

/**
 * Brings pull requests in line with the branches. It compares records with refs and not with what a push said, so it
 * finishes whatever a kill interrupted, and is safe to repeat.
 */
export class PullRefresh {
  readonly #context: () => ForgeContext;
  readonly #seen = new Map<number, ReadonlyMap<string, string>>();

  constructor(context: () => ForgeContext) {
    this.#context = context;
  }

  /** After a push, a merge or a start; waits for its turn. `login`: who moved the refs. */
  async run(repository: RepositoryRecord, login: string): Promise<void> {
    const { repositories } = this.#context();
    await repositories.exclusively(repository, () => this.runInTurn(repository, login));
  }

  /** The same for a caller that already has the repository to itself. */
  async runInTurn(repository: RepositoryRecord, login: string): Promise<void> {
    const context = this.#context();
    const refs = await listRefs(context.repositories.directory(repository));
    const before = this.#seen.get(repository.id);
    this.#seen.set(repository.id, refs);
    await context.repositories.settleDefaultBranch(repository);
    // The order is GitHub's: a push that merges and deletes the head branch at once leaves the pull request merged.
    const bases = openPulls(context).filter((pull) => pull.repository === repository.id);
    await this.#landAll(repository, bases, refs, login);
    const heads = openPulls(context).filter((pull) => pull.headRepository === repository.id);
    for (const pull of heads) await this.#followHead(pull, refs.get(`refs/heads/${pull.headBranch}`), login);
    for (const change of before ? changesBetween(before, refs) : []) await emitPush(context, repository, change, login);
  }

  async #landAll(
    repository: RepositoryRecord,
    pulls: readonly PullRecord[],
    refs: ReadonlyMap<string, string>,
    login: string,
  ): Promise<void> {
    const directory = this.#context().repositories.directory(repository);
    const landed = new Map<string, Set<number>>();
    for (const pull of pulls) {
      const tip = refs.get(`refs/heads/${pull.baseBranch}`);
      if (tip === undefined) {
        closePull(this.#context(), pull, login);
        continue;
      }
      const heads = landed.get(tip) ?? (await mergedHeads(directory, this.#context().dialect.pullRefs, tip));
      landed.set(tip, heads);
      const merge = await this.#mergeOf(directory, pull, tip, heads, login);
      if (merge) closePull(this.#context(), { ...pull, merge, merging: undefined }, merge.by);
      else if (pull.merging) this.#context().store.pulls.replace({ ...pull, merging: undefined });
    }
  }

  async #mergeOf(
    directory: string,
    pull: PullRecord,
    tip: string,
    heads: ReadonlySet<number>,
    login: string,
  ): Promise<MergeRecord | undefined> {
    if (pull.merging && (await isAncestor(directory, pull.merging.commit, tip))) return pull.merging;
    if (!heads.has(pull.number)) return undefined;
    const commits = await listCommits(directory, pull.baseSha, pull.headSha);
    const commit = await findMergeCommit(directory, pull.headSha, tip);
    return { at: Date.now(), by: login, commit, commits: [...new Set([...commits, commit])] };
  }

  async #followHead(pull: PullRecord, tip: string | undefined, login: string): Promise<void> {
    const context = this.#context();
    if (tip === pull.headSha) return;
    if (tip === undefined) return closePull(context, pull, login);
    const repository = context.store.repositories.get(pull.repository);
    if (repository === undefined) return;
    const directory = context.repositories.directory(repository);
    await fetchHead(context, pull, tip);
    const base = (await findBranch(directory, pull.baseBranch)) ?? pull.baseSha;
    const moved = context.store.pulls.replace({ ...pull, headSha: tip, baseSha: base, updatedAt: Date.now() });
    emitPull(context, moved, "synchronize", login, { before: pull.headSha, after: tip });
    // Nothing left to merge: GitHub closes it, and does not call it merged.
    if (await isAncestor(directory, tip, base)) closePull(context, moved, login);
    else await context.mergeability.warm(moved);
  }
}

/** Puts the head commit under its ref (`refs/pull/N/head`) in the base repository, from the fork where there is one. */
export async function fetchHead(
  context: ForgeContext,
  pull: Pick<PullRecord, "repository" | "headRepository" | "headBranch" | "number">,
  tip: string,
): Promise<void> {
  const base = context.store.repositories.get(pull.repository);
  const source = context.store.repositories.get(pull.headRepository);
  if (base === undefined || source === undefined) return;
  const [directory, ref] = [context.repositories.directory(base), `${context.dialect.pullRefs}/${pull.number}/head`];
  if (base.id !== source.id)
    await copyRef(context.repositories.directory(source), `refs/heads/${pull.headBranch}`, directory, ref);
  await moveRef(directory, ref, tip);
}

/** Closes a pull request, merged when it carries a merge record. */
export function closePull(context: ForgeContext, pull: PullRecord, login: string): void {
  const now = Date.now();
  const closed = context.store.pulls.replace({ ...pull, state: "closed", closedAt: now, updatedAt: now });
  emitPull(context, closed, "closed", login);
}

function openPulls(context: ForgeContext): PullRecord[] {
  return context.store.pulls.all().filter((pull) => pull.state === "open");
}

/** Numbers of the pull requests whose head is reachable from a commit: one git call however many there are. */
async function mergedHeads(directory: string, pullRefs: string, tip: string): Promise<Set<number>> {
  const refs = await gitLines(directory, [
    "for-each-ref",
    `--merged=${tip}`,
    "--format=%(refname)",
    `${pullRefs}/*/head`,
  ]);
  return new Set(refs.map((ref) => Number(ref.split("/").at(-2))));
}

/** The commit of the base's own line that has the head as a parent; the head itself after a fast-forward. */
async function findMergeCommit(directory: string, head: string, tip: string): Promise<string> {
  const lines = await gitLines(directory, ["rev-list", "--first-parent", "--parents", tip, `^${head}`]);
  const merge = lines.map((line) => line.split(" ")).find(([, ...parents]) => parents.includes(head));
  return merge?.[0] ?? head;
}

function changesBetween(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): RefChange[] {
  const names = [...new Set([...before.keys(), ...after.keys()])];
  const changes = names.map((ref) => ({ ref, before: before.get(ref) ?? ZERO_SHA, after: after.get(ref) ?? ZERO_SHA }));
  return changes.filter((change) => change.before !== change.after);
}
