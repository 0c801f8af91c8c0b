import { answers, renderHelp, renderUnknown, type ShownLosses } from "../../report/answers.ts";
import type { Plan } from "../../plan/plan.ts";
import type { Command } from "../../sync/comment-commands.ts";
import type { PullRequest, PullRequestComment, Reaction } from "../../ports/forge.ts";
import type { PauseScope, PullRequestRecord } from "../../ports/state-store.ts";
import type { Engine, Repository } from "../engine.ts";

/** Where a command was given. */
export interface CommandScene {
  readonly engine: Engine;
  readonly repository: Repository;
  readonly comment: PullRequestComment;
  readonly pulls: OpenPulls;
  readonly signal: AbortSignal;
}

/** The open pull requests, read when first asked for. */
export type OpenPulls = () => Promise<readonly PullRequest[]>;

/** The receipt, and words where they help. */
export interface CommandOutcome {
  readonly reaction: Reaction;
  readonly text?: string;
}

export function openPulls({ forge, config }: Repository, signal: AbortSignal): OpenPulls {
  let found: Promise<readonly PullRequest[]> | undefined;
  return () => (found ??= forge.listOpenPullRequests(config.branch, signal));
}

/** Does what somebody with write access asked for. Doing it again changes nothing. */
export async function carryOut(scene: CommandScene, command: Command): Promise<CommandOutcome> {
  switch (command.kind) {
    case "plan":
      return plan(scene);
    case "approve":
      return approve(scene, command.id);
    case "pause":
      return pause(scene, command);
    case "resume":
      return resume(scene);
    case "help":
      return { reaction: "+1", text: renderHelp() };
    case "unknown":
      return { reaction: "confused", text: renderUnknown(command.text) };
    default:
      return command satisfies never;
  }
}

/** The planning that follows takes what is forgotten here as new. */
async function plan({ engine, repository, comment, pulls }: CommandScene): Promise<CommandOutcome> {
  const { name, branch } = repository.config;
  const pull = await findPull(comment, pulls);
  if (pull === undefined) return { reaction: "confused", text: answers.notOpen(branch) };
  const known = await engine.store.readPullRequest(name, pull.number);
  if (!pull.fork) {
    if (known !== undefined) await forgetPlan(engine, name, known);
    return { reaction: "eyes" };
  }
  // The word of somebody who may write is for the commit that was shown, never for one that came after it.
  if (known?.head !== pull.head || isNewer(known.plannedAtMs, comment))
    return { reaction: "confused", text: answers.headMoved(pull.head) };
  await forgetPlan(engine, name, { ...known, trustedHead: pull.head });
  return { reaction: "eyes" };
}

async function forgetPlan(engine: Engine, repository: string, known: PullRequestRecord): Promise<void> {
  await engine.store.recordPullRequest(repository, { ...known, base: "", fingerprint: "" }, []);
}

async function approve(scene: CommandScene, id: string | undefined): Promise<CommandOutcome> {
  return (await findPull(scene.comment, scene.pulls)) === undefined ? approveSync(scene, id) : approvePlan(scene, id);
}

async function approvePlan(scene: CommandScene, id: string | undefined): Promise<CommandOutcome> {
  const { engine, comment } = scene;
  const { name } = scene.repository.config;
  const known = await engine.store.readPullRequest(name, comment.pullRequest);
  const json = known?.planId === undefined ? undefined : await engine.store.readPlan(known.planId);
  if (known === undefined || json === undefined) return { reaction: "confused", text: answers.notPlanned };
  const { deletions, id: planId, offline } = JSON.parse(json) as Plan;
  if (deletions.losing.length === 0) return { reaction: "-1", text: answers.nothingLost };
  if (offline) return { reaction: "confused", text: answers.offline };
  const shown = { planId, approvalId: deletions.approvalId };
  if (id !== undefined && !names(shown, id)) return { reaction: "confused", text: answers.otherPlan(id, shown) };
  if (id === undefined && (isNewer(known.plannedAtMs, comment) || (await isUntold(scene))))
    return { reaction: "confused", text: answers.changed(shown) };
  await recordApproval(scene, shown);
  await forgetPlan(engine, name, known);
  return { reaction: "+1" };
}

/** After the merge: the sync that ended (or is going to end) without what nobody approved. */
async function approveSync(scene: CommandScene, id: string | undefined): Promise<CommandOutcome> {
  const { store } = scene.engine;
  const { currentSync } = await store.readBranch(scene.repository.config.name);
  const record = currentSync === undefined ? undefined : (await store.readSync(currentSync))?.record;
  if (record === undefined || record.deletions.allowed) return { reaction: "-1", text: answers.nothingWaits };
  const shown = { planId: record.planId, approvalId: record.deletions.approvalId };
  if (id !== undefined && !names(shown, id)) return { reaction: "confused", text: answers.otherPlan(id, shown) };
  if (id === undefined && isNewer(record.startedAtMs, scene.comment))
    return { reaction: "confused", text: answers.changed(shown) };
  if (id === undefined && !(await broughtBy(scene, [record.revision, ...record.commits])))
    return { reaction: "confused", text: answers.otherSync(record.revision, shown.approvalId) };
  await recordApproval(scene, shown);
  return { reaction: "+1" };
}

/** Commits of a sync whose pull requests are asked for. */
const maxCommits = 20;

async function broughtBy({ repository, comment, signal }: CommandScene, commits: readonly string[]): Promise<boolean> {
  for (const commit of new Set(commits.slice(0, maxCommits))) {
    const pulls = await repository.forge.findPullRequestsOf(commit, signal);
    if (pulls.some(({ number }) => number === comment.pullRequest)) return true;
  }
  return false;
}

async function recordApproval(
  { engine, repository, comment }: CommandScene,
  { planId, approvalId }: ShownLosses,
): Promise<void> {
  await engine.store.recordApproval(repository.config.name, {
    id: approvalId,
    planId,
    by: comment.author.login,
    atMs: comment.updatedAtMs,
    pullRequest: comment.pullRequest,
    url: comment.url,
  });
}

/** Seven characters are what people copy at least. */
function names({ planId, approvalId }: ShownLosses, id: string): boolean {
  return id.length >= 7 && (planId.startsWith(id) || approvalId.startsWith(id));
}

/** Made after the comment was written, as far as whole seconds tell. */
function isNewer(atMs: number | undefined, comment: PullRequestComment): boolean {
  return atMs !== undefined && Math.floor(atMs / 1_000) > Math.floor(comment.updatedAtMs / 1_000);
}

/** The plan's comment still waits for the forge: what people see is an older one. */
async function isUntold({ engine, repository, comment }: CommandScene): Promise<boolean> {
  const waiting = await engine.store.listOutbox(repository.config.name, 1_000);
  return waiting.some(({ key }) => key === `comment/${comment.pullRequest}`);
}

async function findPull({ pullRequest }: PullRequestComment, pulls: OpenPulls): Promise<PullRequest | undefined> {
  return (await pulls()).find(({ number }) => number === pullRequest);
}

async function pause(
  { engine, repository, comment }: CommandScene,
  { forMs, reason }: Extract<Command, { kind: "pause" }>,
): Promise<CommandOutcome> {
  const { name } = repository.config;
  // From the comment's own time, so that doing it again is no longer pause.
  const atMs = comment.updatedAtMs;
  const untilMs = forMs === undefined ? undefined : atMs + forMs;
  await engine.store.setPause({ scope: scopeOf(name), reason, by: comment.author.login, atMs, untilMs });
  return { reaction: "+1", text: answers.paused(name, untilMs) };
}

async function resume({ engine, repository }: CommandScene): Promise<CommandOutcome> {
  const { name } = repository.config;
  if (await engine.store.removePause(scopeOf(name))) return { reaction: "+1" };
  return { reaction: "confused", text: answers.notPaused(name) };
}

function scopeOf(repository: string): PauseScope {
  return { kind: "repository", repository };
}
