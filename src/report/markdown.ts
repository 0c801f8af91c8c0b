import type { Plan } from "../plan/plan.ts";
import { type ApprovalWords, hasAlarms, renderAlarms } from "./alarms.ts";
import { emptySection, fitBullets, type Section } from "./cut.ts";
import { renderDifferences, renderDrift } from "./differences.ts";
import { code, sentence } from "./escape.ts";
import { formatTime, plural, shortRevision } from "./format.ts";
import { groupBy } from "./group.ts";
import { renderGuestText } from "./guest-text.ts";
import { describeExtent, renderMatrix } from "./matrix.ts";
import { clusterList } from "./names.ts";
import { type LinkToFile, renderProblems } from "./problems.ts";
import { type ReturnsTo, renderRollback } from "./rollback.ts";
import { describeStages } from "./rollout-text.ts";
import { describeSnapshots } from "./snapshots.ts";
import { countOperations, describeCounts, hasErrors } from "./summary.ts";

/** Everything a plan comment is made of. */
export interface PlanCommentInput extends ApprovalWords {
  readonly plan: Plan;
  /** First line of the comment, by which it is found again; see `planMarker`. */
  readonly marker: string;
  readonly instance: string;
  readonly repository: string;
  /** Full commit ids: the pull request's head, and the tip of its base it was merged with for planning. */
  readonly head: string;
  readonly base: string;
  readonly baseBranch: string;
  readonly pullRequest: { readonly number: number; readonly fork: boolean; readonly draft: boolean };
  readonly linkToFile?: LinkToFile | undefined;
  readonly returnsTo?: ReturnsTo | undefined;
  /** Other open pull requests that would change one of these VMs, by number. */
  readonly rivals?: readonly number[] | undefined;
  /** What else a reader must know first, in Markdown. */
  readonly notes?: readonly string[] | undefined;
  readonly nowMs: number;
  readonly version: string;
  /** Files in conflict with the base: nothing can be planned. */
  readonly conflictFiles?: readonly string[] | undefined;
  /** Where the uncut plan is: a command or an address, shown as code. */
  readonly fullPlan?: string | undefined;
  /** Longest text the forge takes, in UTF-16 units (`string.length`). */
  readonly limitChars: number;
}

/** The hidden first line of the comment of one instance and repository. */
export function planMarker(instance: string, repository: string): string {
  return `<!-- kraken-gitops:plan:${markerPart(instance)}:${markerPart(repository)} -->`;
}

export function markerPart(text: string): string {
  return text.replaceAll(/[^\w./-]|--+/g, "_");
}

/**
 * The plan of a pull request for its reviewer, most important first: verdict, alarms, what merging does, application x
 * cluster, differences, drift, problems, where it all comes from. Valid Markdown within `limitChars` whatever the size;
 * nothing that comes from a manifest can break out of its place. Ends without a newline.
 */
export function renderPlanComment(input: PlanCommentInput): string {
  const head = [input.marker, renderVerdict(input), ...renderCautions(input)].join("\n\n");
  const foot = renderFooter(input);
  let room = input.limitChars - head.length - foot.length - 600;
  let text = renderWithin(input, head, foot, room);
  // Sections keep a least size of their own, so many small ones may exceed their shares together: then all get less.
  for (let tries = 0; text.length > input.limitChars && tries < maxShrinks; tries++) {
    room -= text.length - input.limitChars + 200;
    text = renderWithin(input, head, foot, room);
  }
  return text;
}

const maxShrinks = 8;

function renderWithin(input: PlanCommentInput, head: string, foot: string, room: number): string {
  const sections =
    input.conflictFiles === undefined || input.conflictFiles.length === 0
      ? renderSections(input, room)
      : [renderConflictFiles(input.conflictFiles, input.baseBranch, room)];
  const omitted = sections.reduce((sum, section) => sum + section.omitted, 0);
  const texts = sections.map((section) => section.text).filter((text) => text !== "");
  return [head, ...texts, ...(omitted === 0 ? [] : [renderCutNotice(input, omitted)]), foot].join("\n\n");
}

/** Each section with its share; what one does not use, the differences get. */
function renderSections(input: PlanCommentInput, room: number): readonly Section[] {
  const { plan } = input;
  const rollback =
    input.returnsTo === undefined ? emptySection : renderRollback(plan, input.returnsTo, input.nowMs, room * 0.1);
  const alarms = renderAlarms(plan, room * 0.3, input.nowMs, input);
  const merging = renderMerging(input);
  const matrix = renderMatrix(plan, room * 0.15);
  const problems = renderProblems(plan.problems, input.linkToFile, room * 0.2);
  const used = [rollback, alarms, merging, matrix, problems].reduce((sum, { text }) => sum + text.length + 2, 0);
  const drift = renderDrift(plan.operations, (room - used) * 0.25);
  const guestText = renderGuestText(plan, (room - used - drift.text.length) * 0.3);
  const left = room - used - drift.text.length - guestText.text.length - 100;
  const differences = renderDifferences(plan.operations, left);
  return [
    rollback,
    alarms,
    merging,
    matrix,
    titled("Differences", differences),
    titled("Changed cloud-init data, without effect on existing guests", guestText),
    titled("Drift that was there before", drift),
    problems,
  ];
}

function titled(title: string, section: Section): Section {
  return section.text === "" ? section : { ...section, text: `**${title}**\n\n${section.text}` };
}

function renderVerdict({ plan, conflictFiles, baseBranch }: PlanCommentInput): string {
  if (conflictFiles !== undefined && conflictFiles.length > 0) {
    return `### ❌ Cannot be planned: conflicts with ${code(baseBranch)}`;
  }
  const errors = plan.problems.filter((problem) => problem.severity === "error").length;
  const counts = describeCounts(countOperations(plan.operations));
  const verdict = counts === "" ? "No VM changes" : `Plan: ${counts}`;
  const sign = hasErrors(plan) ? "❌" : hasAlarms(plan) ? "⚠️" : "✅";
  if (errors === 0) return `### ${sign} ${verdict}`;
  return `### ${sign} ${plural(errors, "problem")}. ${counts === "" ? "No VM changes" : `The rest: ${counts}`}`;
}

/** What a reader must know before believing the plan. */
function renderCautions(input: PlanCommentInput): readonly string[] {
  const { plan, pullRequest, conflictFiles } = input;
  if (conflictFiles !== undefined && conflictFiles.length > 0) return [];
  const cautions: string[] = [];
  if (pullRequest.fork && plan.offline) {
    cautions.push(
      "This pull request comes from a fork: its manifests were checked and compared with the base, git against git. No cluster was asked, so drift, conflicts and disruption are not known until somebody with write access has read this commit and comments `/kraken plan`.",
    );
  } else if (pullRequest.fork) {
    cautions.push(
      `This pull request comes from a fork. Commit ${code(shortRevision(input.head))} was planned in full because somebody with write access asked for it; a newer one needs a new word.`,
    );
  } else if (plan.offline) {
    cautions.push("Planned git against git: no cluster was asked, so drift and conflicts are not known.");
  }
  if (pullRequest.draft) cautions.push("This pull request is a draft.");
  const notes = (input.notes ?? []).map((text) => `⚠️ ${text}`);
  return [...cautions.map((text) => `_${text}_`), ...notes, ...renderRivals(input.rivals ?? [])];
}

const maxRivals = 10;

function renderRivals(rivals: readonly number[]): readonly string[] {
  if (rivals.length === 0) return [];
  const named = rivals.slice(0, maxRivals).map((number) => `#${number}`);
  const rest = rivals.length > maxRivals ? ` and ${rivals.length - maxRivals} more` : "";
  return [
    `⚠️ **Open pull requests that change one of these VMs too:** ${named.join(", ")}${rest}. Whichever is merged later is planned anew.`,
  ];
}

function renderConflictFiles(files: readonly string[], baseBranch: string, room: number): Section {
  const list = fitBullets(files.map(code), room - 200);
  const text = `The head does not merge cleanly into ${code(baseBranch)}. Merge or rebase, and it is planned again.\n\n${list.text}`;
  return { text, omitted: list.omitted };
}

/** What happens on merge, and when. */
function renderMerging(input: PlanCommentInput): Section {
  const { plan } = input;
  const lines = [
    ...(plan.operations.length === 0 ? [] : [describeApply(plan)]),
    ...describeStages(plan, code),
    ...describeSnapshots(plan),
    ...heldLines(plan),
    ...(hasErrors(plan) ? ["Applications with problems are left exactly as they are; the others are applied."] : []),
  ];
  const branch = code(input.baseBranch);
  if (lines.length === 0) return { text: `Merging into ${branch} changes nothing on the clusters.`, omitted: 0 };
  const list = fitBullets(lines, 4_000);
  return { text: `**When this is merged into ${branch}**\n\n${list.text}`, omitted: list.omitted };
}

function goes({ kind }: Plan["operations"][number]): boolean {
  return kind === "delete" || kind === "quarantine";
}

function describeApply(plan: Plan): string {
  const steps = new Set(plan.operations.filter((each) => !goes(each)).map(({ step }) => step)).size;
  const order = steps > 1 ? `, in ${steps} steps one after the other on each cluster` : "";
  const last = plan.operations.some(goes) ? ", deletions last" : "";
  const amount = plural(plan.operations.length, "operation");
  const stages = describeStages(plan, code).length > 0 ? ", in the stages below" : "";
  return `${amount} for ${describeExtent(plan)} start${plan.operations.length === 1 ? "s" : ""} within one poll${stages}${order}${last}.`;
}

function heldLines(plan: Plan): readonly string[] {
  const groups = groupBy(plan.held, ({ code: kind, reason }) => `${kind}\n${reason}`);
  return [...groups.values()].map((group) => {
    const clusters = clusterList(group.map(({ cluster }) => cluster));
    const verb = group.length === 1 ? "is" : "are";
    return `${clusters} ${verb} held: ${sentence(group[0]?.reason ?? "")}. What is to do there is planned when ${group.length === 1 ? "it comes" : "they come"} back.`;
  });
}

function renderCutNotice(input: PlanCommentInput, omitted: number): string {
  const where = input.fullPlan === undefined ? "" : ` The whole plan: ${code(input.fullPlan)}`;
  return `> **Cut to fit:** ${plural(omitted, "entry", "entries")} did not fit into this comment.${where}`;
}

function renderFooter(input: PlanCommentInput): string {
  const facts = [
    `merge of head ${code(shortRevision(input.head))} into ${code(input.baseBranch)} at ${code(shortRevision(input.base))}`,
    formatTime(input.nowMs),
    ...(input.plan.id === "" ? [] : [`plan ${code(input.plan.id.slice(0, 12))}`]),
    `kraken-gitops ${sentence(input.version)}${input.instance === "kraken-gitops" ? "" : ` (${code(input.instance)})`}`,
    `repository ${code(input.repository)}`,
    ...(input.fullPlan === undefined ? [] : [`full plan: ${code(input.fullPlan)}`]),
  ];
  return `---\n<sub>${facts.join(" · ")}</sub>`;
}
