import { code } from "./escape.ts";
import { formatTime } from "./format.ts";
import { markerPart } from "./markdown.ts";

/** What is answered to commands in comments, as Markdown. A reaction is the receipt; words follow where they help. */

/** The hidden first line of an answer, by which it is found again: one for each comment, or for what it is about. */
export function answerMarker(instance: string, repository: string, about: string): string {
  return `<!-- kraken-gitops:answer:${markerPart(instance)}:${markerPart(repository)}:${markerPart(about)} -->`;
}

export function renderHelp(): string {
  return [
    "Commands, at the beginning of a line, for people who may push to this repository:",
    "",
    "| command | what it does |",
    "| --- | --- |",
    "| `/kraken plan` | plans this pull request anew; that of a fork in full, for the commit that is planned now |",
    "| `/kraken approve` | lets exactly the losses shown in the plan happen; `/kraken approve <id>` names them |",
    "| `/kraken pause` | changes no VM of this repository until `/kraken resume`; `/kraken pause for 2h <reason>` ends by itself |",
    "| `/kraken resume` | ends that pause |",
    "| `/kraken help` | this |",
  ].join("\n");
}

export function renderUnknown(text: string): string {
  return `${code(`/kraken ${text}`)} is no command.\n\n${renderHelp()}`;
}

export function renderRefused(login: string): string {
  return `${code(login)} may not push to this repository, so nothing was done. Somebody with write access can say it.`;
}

export interface ShownLosses {
  readonly planId: string;
  readonly approvalId: string;
}

/** Which plan is the one now, and how exactly its losses are approved. */
function renderCurrent({ planId, approvalId }: ShownLosses): string {
  return `The plan now is ${code(planId.slice(0, 12))}. Read it, then approve its losses with ${code(`/kraken approve ${approvalId}`)}.`;
}

export const answers = {
  notPlanned: "There is no plan of this pull request yet. Say it again when its comment is there.",
  notOpen: (branch: string) => `This pull request is not open into ${code(branch)}, so there is nothing to plan.`,
  headMoved: (head: string) =>
    `The newest commit is ${code(head.slice(0, 12))}, which was not shown when this was said. Read it and say ${code("/kraken plan")} again.`,
  nothingLost: "This plan loses no data, so there is nothing to approve.",
  nothingWaits: "Nothing that came with this pull request waits for an approval.",
  offline: `This was planned without asking the clusters, so what exactly would be lost is not known. Say ${code("/kraken plan")} first.`,
  otherPlan: (id: string, current: ShownLosses) =>
    `${code(id)} is not what would be lost now, so nothing was approved. ${renderCurrent(current)}`,
  changed: (current: ShownLosses) =>
    `The plan changed about when this was said, so nothing was approved. ${renderCurrent(current)}`,
  otherSync: (revision: string, approvalId: string) =>
    `What waits for an approval is commit ${code(revision.slice(0, 12))}, which did not come with this pull request. Where that is meant, say ${code(`/kraken approve ${approvalId}`)}.`,
  paused: (repository: string, untilMs: number | undefined) =>
    `Paused: no VM of ${code(repository)} is changed ${untilMs === undefined ? "until somebody resumes" : `until ${formatTime(untilMs)}`}. ${code("/kraken resume")} ends it.`,
  notPaused: (repository: string) => `${code(repository)} is not paused.`,
} as const;
