import type { Effects } from "./effects.ts";
import { notNow, TaskFailure } from "./refusal.ts";
import { type ClusterState, unixSeconds } from "./state.ts";
import type { TaskTagStatus } from "./wire.ts";
import type { Work, WorkKind } from "./work.ts";

/** How a fault bends a task: it fails without effect, fails although the effect is there, hangs, or is forgotten. */
export interface TaskFault {
  readonly kind: "fail-task" | "fail-task-done" | "slow-task" | "forget-task";
  /** For `slow-task`: milliseconds added. */
  readonly ms: number;
  readonly message: string;
}

export interface TaskContext {
  readonly sessionID: string;
  readonly nodeUUID: string;
  readonly fault: TaskFault | undefined;
}

/** The time a running task takes. */
interface Span {
  /** Unix milliseconds. */
  readonly began: number;
  readonly ms: number;
}

/** A task that runs is never at its beginning and never at its end. */
const firstPercent = 10;
const lastPercent = 99;

/** Starts tasks, walks them through QUEUED, RUNNING and their end, and holds the locks of the objects concerned. */
export class TaskBoard {
  readonly #state: ClusterState;
  readonly #effects: Effects;
  readonly #locks = new Set<string>();
  readonly #spans = new Map<string, Span>();
  #peak = 0;
  #busyRefusals = 0;

  constructor(state: ClusterState, effects: Effects) {
    this.#state = state;
    this.#effects = effects;
  }

  /** Most tasks that were ever under way at once. */
  get peak(): number {
    return this.#peak;
  }

  get underWay(): number {
    return this.#state.works.size;
  }

  /** Changing calls that were refused because a task on the object was under way, since they were last forgotten. */
  get busyRefusals(): number {
    return this.#busyRefusals;
  }

  forgetRefusals(): void {
    this.#busyRefusals = 0;
  }

  /** One change at a time per object: the second one gets HyperCore's 500. */
  ensureFree(...ids: readonly string[]): void {
    if (!ids.some((id) => this.#locks.has(id))) return;
    this.#busyRefusals += 1;
    throw notNow();
  }

  /** A tag that was given out and has been forgotten reads UNINITIALIZED; one that never was is not there. */
  find(taskTag: string): TaskTagStatus | undefined {
    const task = this.#state.tasks.get(taskTag);
    if (task !== undefined) return this.#withProgress(task);
    const forgotten = /^[1-9]\d*$/.test(taskTag) && Number(taskTag) < this.#state.facts.nextTask;
    return forgotten ? forgottenTask(taskTag) : undefined;
  }

  list(): readonly TaskTagStatus[] {
    return [...this.#state.tasks.values()].map((task) => this.#withProgress(task));
  }

  /** A task is under way on it. */
  isBusy(id: string): boolean {
    return this.#locks.has(id);
  }

  /** Begins the work and answers its tag at once. `locks` are the objects that stay busy until it ends. */
  start(work: Work, objectUUID: string, locks: readonly string[], context: TaskContext): string {
    this.ensureFree(...locks);
    const taskTag = this.#state.nextTaskTag();
    for (const id of locks) this.#locks.add(id);
    this.#state.works.put(taskTag, { work, locks });
    this.#publish(newTask(taskTag, work.kind, objectUUID, context), work);
    this.#peak = Math.max(this.#peak, this.underWay);
    const duration = this.#state.durationOf(work.kind);
    this.#state.timers.after(duration / 4, () => this.#run(taskTag, work, duration, context.fault));
    return taskTag;
  }

  /** Settles the tasks that were under way when the process was killed. */
  recover(): void {
    for (const [taskTag, { work }] of this.#state.works.entries()) this.#recoverOne(taskTag, work);
    this.#state.store.flush();
  }

  /** The end is timed from here: two timers set at once may fire in either order when the process is busy. */
  #run(taskTag: string, work: Work, duration: number, fault: TaskFault | undefined): void {
    this.#effects.begin(work);
    this.#update(taskTag, work, { state: "RUNNING", progressPercent: firstPercent });
    const extra = fault?.kind === "slow-task" ? fault.ms : 0;
    this.#spans.set(taskTag, { began: Date.now(), ms: (duration * 3) / 4 + extra });
    this.#state.timers.after((duration * 3) / 4 + extra, () => this.#finish(taskTag, work, fault));
  }

  #finish(taskTag: string, work: Work, fault: TaskFault | undefined): void {
    let end: Partial<TaskTagStatus> = { state: "COMPLETE", progressPercent: 100 };
    try {
      if (fault?.kind === "fail-task") throw new TaskFailure(fault.message, [work.kind]);
      this.#effects.finish(work);
      if (fault?.kind === "fail-task-done") end = failed(new TaskFailure(fault.message, [work.kind]));
    } catch (error) {
      if (!(error instanceof TaskFailure)) throw error;
      this.#effects.undo(work);
      end = failed(error);
    }
    this.#end(taskTag, work, fault?.kind === "forget-task" ? { state: "UNINITIALIZED" } : end);
  }

  #recoverOne(taskTag: string, work: Work): void {
    const { afterCrash } = this.#state.settings;
    const done = afterCrash === "complete" || (afterCrash === "mixed" && this.#state.random.chance(0.5));
    const forgotten = afterCrash === "uninitialized" || (afterCrash === "mixed" && this.#state.random.chance(0.5));
    const lost: TaskFault = { kind: "fail-task", ms: 0, message: "%@ was interrupted by a restart" };
    if (done) this.#effects.begin(work);
    this.#finish(taskTag, work, done ? undefined : lost);
    if (forgotten) this.#update(taskTag, work, { state: "UNINITIALIZED" });
  }

  #end(taskTag: string, work: Work, end: Partial<TaskTagStatus>): void {
    for (const id of this.#state.works.get(taskTag)?.locks ?? []) this.#locks.delete(id);
    this.#spans.delete(taskTag);
    this.#state.works.delete(taskTag);
    this.#update(taskTag, work, { ...end, completed: unixSeconds() });
    this.#forgetOldest();
  }

  #update(taskTag: string, work: Work, change: Partial<TaskTagStatus>): void {
    const task = this.#state.tasks.get(taskTag);
    if (task !== undefined) this.#publish({ ...task, ...change, modified: unixSeconds() }, work);
  }

  /** The VM shows its last task, which is how others see that somebody is busy with it. */
  #publish(task: TaskTagStatus, work: Work): void {
    this.#state.tasks.put(task.taskTag, task);
    if (!("vm" in work)) return;
    const vm = this.#state.virdomains.get(work.vm);
    if (vm !== undefined) this.#state.putVirDomain({ ...vm, latestTaskTag: task });
  }

  /** How far a running task is, told by the time: writing every step down would cost more than the task. */
  #withProgress(task: TaskTagStatus): TaskTagStatus {
    const span = this.#spans.get(task.taskTag);
    if (span === undefined || task.state !== "RUNNING") return task;
    const done = Math.min(1, (Date.now() - span.began) / Math.max(1, span.ms));
    return { ...task, progressPercent: firstPercent + Math.floor((lastPercent - firstPercent) * Math.max(0, done)) };
  }

  #forgetOldest(): void {
    const { tasks, works, settings } = this.#state;
    for (const [taskTag] of tasks.entries()) {
      if (tasks.size <= settings.rememberedTasks) return;
      if (!works.has(taskTag)) tasks.delete(taskTag);
    }
  }
}

function newTask(taskTag: string, kind: WorkKind, objectUUID: string, context: TaskContext): TaskTagStatus {
  return {
    ...forgottenTask(taskTag),
    state: "QUEUED",
    formattedDescription: "%@ of %@",
    descriptionParameters: [kind, objectUUID],
    objectUUID,
    created: unixSeconds(),
    modified: unixSeconds(),
    sessionID: context.sessionID,
    nodeUUIDs: [context.nodeUUID],
  };
}

/** What a tag reads as whose task nobody remembers: it proves nothing about the work. */
function forgottenTask(taskTag: string): TaskTagStatus {
  return {
    taskTag,
    progressPercent: 0,
    state: "UNINITIALIZED",
    formattedDescription: "",
    descriptionParameters: [],
    formattedMessage: "",
    messageParameters: [],
    objectUUID: "",
    created: 0,
    modified: 0,
    completed: 0,
    sessionID: "",
    nodeUUIDs: [],
  };
}

function failed(failure: TaskFailure): Partial<TaskTagStatus> {
  return { state: "ERROR", formattedMessage: failure.message, messageParameters: failure.parameters };
}
