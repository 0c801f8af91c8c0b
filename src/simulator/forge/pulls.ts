import { sameName } from "./accounts.ts";
import { type ApiError, invalid } from "./api-error.ts";
import type { ForgeContext } from "./context.ts";
import { emitPull } from "./events.ts";
import { findBranch, isAncestor } from "./git-objects.ts";
import { fetchHead } from "./pull-refresh.ts";
import type { PullRecord, RepositoryRecord } from "./records.ts";

/** Opening and editing pull requests. Callers hold the repository (`Repositories.exclusively`). */

export interface NewPull {
  readonly title: string;
  readonly body: string | undefined;
  /** `branch`, or `owner:branch` for another repository of the network. */
  readonly head: string;
  readonly base: string;
  readonly draft: boolean;
}

export async function openPull(
  context: ForgeContext,
  repository: RepositoryRecord,
  wanted: NewPull,
  login: string,
): Promise<PullRecord> {
  const source = findHeadRepository(context, repository, wanted.head);
  const headBranch = wanted.head.slice(wanted.head.indexOf(":") + 1);
  const headSha = source && (await findBranch(context.repositories.directory(source), headBranch));
  if (source === undefined || headSha === undefined)
    throw invalid({ resource: "PullRequest", field: "head", code: "invalid" });
  const baseSha = await findBranch(context.repositories.directory(repository), wanted.base);
  if (baseSha === undefined) throw invalid({ resource: "PullRequest", field: "base", code: "invalid" });
  refuseDuplicate(context, repository, source, headBranch, wanted.base);
  const number = nextNumber(context, repository);
  const place = { repository: repository.id, headRepository: source.id, headBranch, number };
  await fetchHead(context, place, headSha);
  await refuseEmpty(context, repository, headSha, baseSha, wanted);
  const now = Date.now();
  const pull = context.store.pulls.insert({
    ...place,
    title: wanted.title,
    body: wanted.body,
    author: login,
    draft: wanted.draft,
    state: "open",
    baseBranch: wanted.base,
    baseSha,
    headOwner: source.owner,
    headSha,
    createdAt: now,
    updatedAt: now,
    closedAt: undefined,
    merge: undefined,
    merging: undefined,
  });
  emitPull(context, pull, "opened", login);
  await context.mergeability.warm(pull);
  return pull;
}

function findHeadRepository(
  context: ForgeContext,
  repository: RepositoryRecord,
  head: string,
): RepositoryRecord | undefined {
  const colon = head.indexOf(":");
  if (colon === -1 || sameName(head.slice(0, colon), repository.owner)) return repository;
  return context.repositories.network(repository).find((one) => sameName(one.owner, head.slice(0, colon)));
}

function nextNumber(context: ForgeContext, repository: RepositoryRecord): number {
  return Math.max(0, ...context.store.pulls.group(`${repository.id}`).map((pull) => pull.number)) + 1;
}

function refuseDuplicate(
  context: ForgeContext,
  repository: RepositoryRecord,
  source: RepositoryRecord,
  branch: string,
  base: string,
): void {
  const twin = context.store.pulls
    .group(`${repository.id}`)
    .find(
      (one) =>
        one.state === "open" &&
        one.headRepository === source.id &&
        one.headBranch === branch &&
        one.baseBranch === base,
    );
  if (twin === undefined) return;
  const message = `A pull request already exists for ${source.owner}:${branch}.`;
  throw invalid({ resource: "PullRequest", code: "custom", message });
}

async function refuseEmpty(
  context: ForgeContext,
  repository: RepositoryRecord,
  head: string,
  base: string,
  wanted: NewPull,
): Promise<void> {
  if (!(await isAncestor(context.repositories.directory(repository), head, base))) return;
  throw invalid({
    resource: "PullRequest",
    code: "custom",
    message: `No commits between ${wanted.base} and ${wanted.head}`,
  });
}

export interface PullEdit {
  readonly title: string | undefined;
  readonly body: string | undefined;
  readonly base: string | undefined;
  readonly state: "open" | "closed" | undefined;
}

export async function editPull(
  context: ForgeContext,
  repository: RepositoryRecord,
  pull: PullRecord,
  edit: PullEdit,
  login: string,
): Promise<PullRecord> {
  const now = Date.now();
  let next: PullRecord = { ...pull, title: edit.title ?? pull.title, body: edit.body ?? pull.body, updatedAt: now };
  if (edit.base !== undefined && edit.base !== pull.baseBranch)
    next = { ...next, ...(await rebased(context, repository, pull, edit.base)) };
  const edited = next.title !== pull.title || next.body !== pull.body || next.baseBranch !== pull.baseBranch;
  if (edit.state === "closed" && pull.state === "open") next = { ...next, state: "closed", closedAt: now };
  if (edit.state === "open" && pull.state === "closed")
    next = { ...next, ...(await reopened(context, repository, pull)) };
  const stored = context.store.pulls.replace(next);
  if (edited) emitPull(context, stored, "edited", login);
  if (stored.state !== pull.state) emitPull(context, stored, stored.state === "open" ? "reopened" : "closed", login);
  await context.mergeability.warm(stored);
  return stored;
}

async function rebased(
  context: ForgeContext,
  repository: RepositoryRecord,
  pull: PullRecord,
  base: string,
): Promise<Partial<PullRecord>> {
  const baseSha = await findBranch(context.repositories.directory(repository), base);
  if (baseSha === undefined) throw invalid({ resource: "PullRequest", field: "base", code: "invalid" });
  await refuseEmpty(context, repository, pull.headSha, baseSha, { ...pull, head: pull.headBranch, base });
  return { baseBranch: base, baseSha };
}

function cannotReopen(reason: string): ApiError {
  return invalid({
    resource: "PullRequest",
    field: "state",
    code: "invalid",
    message: `state cannot be changed. ${reason}`,
  });
}

async function reopened(
  context: ForgeContext,
  repository: RepositoryRecord,
  pull: PullRecord,
): Promise<Partial<PullRecord>> {
  if (pull.merge) throw cannotReopen("The pull request cannot be reopened: it is merged.");
  const source = context.store.repositories.get(pull.headRepository);
  const headSha = source && (await findBranch(context.repositories.directory(source), pull.headBranch));
  if (headSha === undefined) throw cannotReopen(`The ${pull.headBranch} branch has been deleted.`);
  await fetchHead(context, pull, headSha);
  const baseSha = (await findBranch(context.repositories.directory(repository), pull.baseBranch)) ?? pull.baseSha;
  await refuseEmpty(context, repository, headSha, baseSha, { ...pull, head: pull.headBranch, base: pull.baseBranch });
  return { state: "open", closedAt: undefined, headSha, baseSha };
}
