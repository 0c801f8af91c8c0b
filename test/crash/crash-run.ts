import { setTimeout as pause } from "node:timers/promises";
import { waitFor } from "../support/wait-for.ts";
import { Chance } from "./chance.ts";
import { compareFleet, isAside, nameOf, type RawVm, stableName } from "./fleet.ts";
import { Rig, type RigOptions, type StatusRow, type Victim } from "./rig.ts";
import { type Chapter, Story } from "./story.ts";

export interface CrashOptions {
  readonly seed: number;
  /** Kill moments in all. */
  readonly moments: number;
  /** Most kill moments during one sync. */
  readonly perSync: number;
  readonly embedded?: boolean;
  readonly ground?: RigOptions["ground"];
  /** Of all VMs. Default uefi. */
  readonly machineType?: "bios" | "uefi";
  /** The first chapters; chosen by the seed after these. */
  readonly chapters?: readonly Chapter[];
  /** Longest wait for a final status after the last kill. */
  readonly settleMs?: number;
  readonly say?: (line: string) => void;
}

/** What was killed when. */
export interface CrashReport {
  readonly moments: number;
  readonly hits: Readonly<Record<string, number>>;
  /** Moments with tasks under way on the cluster; at every moment the tip waited for its final status. */
  readonly duringTasks: number;
  readonly together: number;
  /** How often the cluster went wrong without being killed. */
  readonly disturbances: number;
  readonly syncs: number;
  readonly commits: number;
  readonly slowestSettleMs: number;
}

const images = ["base-1", "base-2", "base-3", "base-4"];
/** Longest wait for work on the cluster. */
const workMs = 5_000;
const lookMs = 50;
const context = "kraken-gitops/sync";

/** Kills processes at random moments of syncs; throws when anything is not as it should be afterwards. */
export async function crashRun(options: CrashOptions): Promise<CrashReport> {
  await using rig = await Rig.open({
    embedded: options.embedded ?? false,
    images,
    ...(options.ground === undefined ? {} : { ground: options.ground }),
  });
  const run = new CrashRun(rig, options);
  try {
    return await run.play();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`KRAKEN_CRASH_SEED=${options.seed}: ${reason}\n${run.describe()}\n${await rig.logs(30)}`, {
      cause: error,
    });
  }
}

class CrashRun {
  readonly #rig: Rig;
  readonly #options: CrashOptions;
  /** One for each sync, so that what happens in it does not hang on how long the one before took. */
  #chance: Chance;
  readonly #story: Story;
  readonly #hits = new Map<Victim, number>();
  readonly #diary: string[] = [];
  readonly #startedMs = Date.now();
  #moments = 0;
  #duringTasks = 0;
  #together = 0;
  #disturbances = 0;
  #syncs = 0;
  #slowestSettleMs = 0;
  /** Ids of VMs and their disks that no commit asked to lose. */
  readonly #known = new Map<string, string>();
  /** The final states a commit may have. */
  readonly #verdicts = new Map<string, ReadonlySet<string>>();

  constructor(rig: Rig, options: CrashOptions) {
    this.#rig = rig;
    this.#options = options;
    this.#chance = new Chance(options.seed);
    this.#story = new Story(
      rig.tree,
      `${rig.folder}/work`,
      new Chance(options.seed),
      images,
      options.machineType ?? "uefi",
    );
  }

  async play(): Promise<CrashReport> {
    const chapters = [...(this.#options.chapters ?? [])];
    while (this.#moments < this.#options.moments || chapters.length > 0) {
      await this.#sync(chapters.shift());
      await this.#check();
    }
    return {
      moments: this.#moments,
      hits: Object.fromEntries(this.#hits),
      duringTasks: this.#duringTasks,
      together: this.#together,
      disturbances: this.#disturbances,
      syncs: this.#syncs,
      commits: this.#story.commits.length,
      slowestSettleMs: this.#slowestSettleMs,
    };
  }

  /** What happened so far, for a failure's message. */
  describe(): string {
    return this.#diary.slice(-60).join("\n");
  }

  /** One push, kills while it is synced, sometimes a second push on top, and the wait for the tip's final status. */
  async #sync(chapter: Chapter | undefined): Promise<void> {
    this.#syncs += 1;
    const chance = new Chance(this.#options.seed + this.#syncs);
    this.#chance = chance;
    await this.#push(chapter);
    const overtakeAfter = chapter === undefined && chance.isTrue(0.25) ? chance.between(1, 3) : -1;
    const last = Math.min(this.#options.moments, this.#moments + chance.between(3, this.#options.perSync));
    for (let count = 0; this.#moments < last; count += 1) {
      if (count === overtakeAfter) await this.#push(undefined);
      await this.#wait(count === 0 ? 2_500 : 1_500);
      if ((await this.#finalOf(this.#story.tip)) !== undefined) break;
      if (chance.isTrue(0.25)) await this.#disturb();
      await this.#strike();
    }
    await this.#settle();
    await this.#rig.calm();
  }

  async #push(chapter: Chapter | undefined): Promise<void> {
    const count = chapter === undefined && this.#chance.isTrue(0.15) ? 2 : 1;
    for (let commit = 0; commit < count; commit += 1) {
      const next = chapter ?? this.#story.choose();
      await this.#story.commit(next);
      this.#note(`commit ${this.#story.tip.slice(0, 7)}: ${next}`);
    }
    await this.#story.push();
  }

  /**
   * Until the next moment. Mostly into work on the cluster, because recovery takes most of the time otherwise and the
   * kills would hit processes that only wait.
   */
  async #wait(longestMs: number): Promise<void> {
    const chance = this.#chance;
    const intoWork = chance.isTrue(0.7);
    const pauseMs = chance.between(10, intoWork ? 600 : longestMs);
    if (intoWork) await this.#untilWork();
    await pause(pauseMs);
  }

  async #untilWork(): Promise<void> {
    const deadline = Date.now() + workMs;
    while (Date.now() < deadline) {
      if ((await this.#rig.isBusy()) || (await this.#finalOf(this.#story.tip)) !== undefined) return;
      await pause(lookMs);
    }
  }

  async #strike(): Promise<void> {
    const chance = this.#chance;
    const count = chance.isTrue(0.3) ? chance.between(2, this.#rig.victims.length) : 1;
    const victims = chance.some(this.#rig.victims, count);
    const tasks = await this.#rig.isBusy();
    await this.#rig.kill(victims);
    this.#moments += 1;
    this.#duringTasks += tasks ? 1 : 0;
    this.#together += victims.length > 1 ? 1 : 0;
    for (const victim of victims) this.#hits.set(victim, (this.#hits.get(victim) ?? 0) + 1);
    this.#note(`kill ${this.#moments}: ${victims.join(", ")}${tasks ? " (tasks under way)" : ""}`);
    await pause(chance.between(0, 1_000));
    await this.#rig.revive(victims);
  }

  /** The cluster goes wrong for some calls, until they are over or it is killed. */
  async #disturb(): Promise<void> {
    const what = await this.#rig.disturb(this.#chance);
    if (what === undefined) return;
    this.#disturbances += 1;
    this.#note(`the cluster ${what}`);
  }

  async #settle(): Promise<void> {
    const beganMs = Date.now();
    const { tip } = this.#story;
    const final = await waitFor(() => this.#finalOf(tip), {
      what: `the final status of ${tip.slice(0, 7)}`,
      timeoutMs: this.#options.settleMs ?? 120_000,
      describe: async () => JSON.stringify(await this.#statusesOf(tip)),
    });
    const tookMs = Date.now() - beganMs;
    this.#slowestSettleMs = Math.max(this.#slowestSettleMs, tookMs);
    this.#note(`final of ${tip.slice(0, 7)} after ${tookMs} ms: ${final.state}, ${final.description}`);
    const expected = this.#story.isBad(tip) ? "failure" : "success";
    this.#expectNone(final.state === expected ? [] : [`the tip ended as ${final.state}: ${final.description}`]);
    // A commit that was superseded takes the verdict of the one that superseded it.
    for (const commit of this.#story.commits.filter((one) => !this.#verdicts.has(one)))
      this.#verdicts.set(commit, new Set([expected, this.#story.isBad(commit) ? "failure" : "success"]));
  }

  async #check(): Promise<void> {
    await waitFor(async () => ((await this.#statusTroubles()).length === 0 ? true : undefined), {
      what: "one final status on every commit",
      timeoutMs: 60_000,
      describe: async () => (await this.#statusTroubles()).join("\n"),
    });
    const vms = await this.#rig.vms();
    this.#expectNone([
      ...compareFleet(this.#story.wishes, vms),
      ...(await this.#rig.leftovers()),
      ...this.#lostThings(vms),
      ...this.#rig.surprises(),
    ]);
    const plan = await this.#rig.plan();
    const code = this.#story.isBad(this.#story.tip) ? 1 : 0;
    this.#expectNone(plan.code === code ? [] : [`plan answers ${plan.code}: ${plan.output}`]);
    this.#story.settled();
  }

  /**
   * A VM that was there once is the very same one whenever it is wished for, with the same disks, and in quarantine with
   * them as long as it is not: in a run nobody's time is over.
   */
  #lostThings(vms: readonly RawVm[]): string[] {
    for (const key of this.#story.dropped) this.#known.delete(key);
    const present = new Set(vms.flatMap((vm) => [vm.uuid, ...vm.blockDevs.map(({ uuid }) => uuid)]));
    const lost = [...this.#known].filter(([, uuid]) => !present.has(uuid));
    const now = devicesOf(vms.filter((vm) => !isAside(vm)));
    const replaced = [...this.#known].filter(([key, uuid]) => (now.get(key) ?? uuid) !== uuid);
    for (const [key, uuid] of now) this.#known.set(key, uuid);
    return [
      ...lost.map(([key, uuid]) => `${key} (${uuid}) is gone, and no commit asked for that`),
      ...replaced.map(([key, uuid]) => `${key} is no longer ${uuid}`),
    ];
  }

  async #statusTroubles(): Promise<string[]> {
    const all = (await this.#rig.statuses()).filter((row) => row.context === context);
    return this.#story.commits.flatMap((commit) => {
      const rows = all.filter((row) => row.sha === commit);
      const states = rows.map((row) => row.state);
      const finals = states.filter((state) => state !== "pending");
      const [final = ""] = finals;
      const allowed = this.#verdicts.get(commit)?.has(final) === true;
      const good = allowed && finals.length === 1 && states.at(-1) === final && states[0] === "pending";
      return good ? [] : [`statuses of ${commit.slice(0, 7)}: ${rows.map(sentence).join(" | ")}`];
    });
  }

  async #statusesOf(commit: string): Promise<StatusRow[]> {
    return (await this.#rig.statuses()).filter((row) => row.sha === commit && row.context === context);
  }

  async #finalOf(commit: string): Promise<StatusRow | undefined> {
    const newest = (await this.#statusesOf(commit)).at(-1);
    return newest === undefined || newest.state === "pending" ? undefined : newest;
  }

  #expectNone(troubles: readonly string[]): void {
    if (troubles.length > 0) throw new Error(troubles.join("\n"));
  }

  #note(line: string): void {
    const text = `${((Date.now() - this.#startedMs) / 1000).toFixed(1).padStart(7)} s  ${line}`;
    this.#diary.push(text);
    this.#options.say?.(text);
  }
}

function sentence({ state, description }: StatusRow): string {
  return `${state}: ${description}`;
}

/** Ids by VM and by disk, whatever the VM is called at the moment. */
function devicesOf(vms: readonly RawVm[]): Map<string, string> {
  const devices = new Map<string, string>();
  for (const vm of vms) {
    const name = stableName(vm.name);
    devices.set(name, vm.uuid);
    for (const device of vm.blockDevs.filter(({ type }) => type === "VIRTIO_DISK"))
      devices.set(`${name}/${nameOf(vm, "disk", device.uuid)}`, device.uuid);
  }
  return devices;
}
