import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { WorkTree } from "../../src/cli/demo/work-tree.ts";
import type { Chance } from "./chance.ts";
import { manifestsOf, type Scene, stableName, type VmWish } from "./fleet.ts";

/** `break` makes a file unreadable and `mend` readable again; `move` puts a file somewhere else. */
export type Chapter = "create" | "resize" | "describe" | "rename" | "move" | "break" | "mend" | "remove" | "revert";

const applications = ["shop", "office"];
/** At most so many VMs, so that a sync stays short. */
const mostVms = 8;

/** What people commit: VMs come, change, get other names, go, and come back by a revert. Keeps what the tip of main asks for. */
export class Story {
  readonly commits: string[] = [];
  readonly #tree: WorkTree;
  readonly #folder: string;
  readonly #chance: Chance;
  readonly #images: readonly string[];
  readonly #machineType: VmWish["machineType"];
  #scene: Scene = { wishes: [], moves: {}, broken: undefined };
  #before: Scene | undefined;
  #born = 0;
  /** Something was taken away since the last sync; more of it would be over the deletion budget of 3 VMs. */
  #lossy = false;
  /** Nothing was committed since the last sync. */
  #fresh = true;
  /** Commits whose manifests cannot all be read. */
  readonly #bad = new Set<string>();
  readonly #dropped = new Set<string>();

  constructor(
    tree: WorkTree,
    folder: string,
    chance: Chance,
    images: readonly string[],
    machineType: VmWish["machineType"],
  ) {
    this.#tree = tree;
    this.#folder = folder;
    this.#chance = chance;
    this.#images = images;
    this.#machineType = machineType;
  }

  get wishes(): readonly VmWish[] {
    return this.#scene.wishes;
  }

  get tip(): string {
    return this.commits.at(-1) ?? "";
  }

  isBad(commit: string): boolean {
    return this.#bad.has(commit);
  }

  /** Disks (`vm/disk`) that a commit took off a VM that stays, since the last sync: their data was asked to go. */
  get dropped(): ReadonlySet<string> {
    return this.#dropped;
  }

  /** A chapter that fits what there is. */
  choose(): Chapter {
    const { wishes, broken } = this.#scene;
    if (broken !== undefined) return this.#before === undefined ? "mend" : this.#chance.pick(["mend", "revert"]);
    if (wishes.length < 3) return "create";
    const fitting: Chapter[] = ["resize", "describe", "move"];
    if (this.#fresh) fitting.push("break");
    if (wishes.some(({ formerName }) => formerName === undefined)) fitting.push("rename");
    if (!this.#lossy) fitting.push("remove");
    if (wishes.length + 3 <= mostVms) fitting.push("create", "create");
    if (this.#before !== undefined && !this.#lossy) fitting.push("revert", "revert");
    return this.#chance.pick(fitting);
  }

  /** The tip is in place: what comes next is counted against it. */
  settled(): void {
    this.#lossy = false;
    this.#fresh = true;
    this.#dropped.clear();
  }

  /** Commits a chapter without pushing it. */
  async commit(chapter: Chapter): Promise<void> {
    const now = this.#scene;
    this.#fresh = false;
    this.#lossy ||= chapter === "revert" || chapter === "remove";
    if (chapter === "revert") {
      await this.#tree.git("revert", "--no-edit", "HEAD");
      this.#scene = this.#before ?? now;
      this.#before = undefined;
    } else {
      this.#scene = this.#imagine(chapter);
      this.#before = now.wishes.length === 0 ? undefined : now;
      await this.#write(now);
      await this.#tree.commit(`${chapter} (${this.commits.length + 1})`);
    }
    for (const disk of droppedDisks(now.wishes, this.wishes)) this.#dropped.add(disk);
    this.commits.push(await this.#tree.git("rev-parse", "HEAD"));
    if (this.#scene.broken !== undefined) this.#bad.add(this.tip);
  }

  async push(): Promise<void> {
    await this.#tree.push("main");
  }

  #imagine(chapter: Exclude<Chapter, "revert">): Scene {
    const scene = this.#scene;
    switch (chapter) {
      case "break":
        return { ...scene, broken: this.#anyApplication() };
      case "mend":
        return { ...scene, broken: undefined };
      case "move": {
        const application = this.#anyApplication();
        return { ...scene, moves: { ...scene.moves, [application]: (scene.moves[application] ?? 0) + 1 } };
      }
      default:
        return { ...scene, wishes: this.#change(chapter) };
    }
  }

  #anyApplication(): string {
    return this.#chance.pick([...new Set(this.wishes.map(({ application }) => application))].sort());
  }

  #change(chapter: "create" | "resize" | "describe" | "rename" | "remove"): VmWish[] {
    const chance = this.#chance;
    // Something always stays: an empty wish deletes nothing.
    const most = chapter === "remove" ? Math.min(2, this.wishes.length - 1) : 3;
    const chosen = new Set(chance.some(this.wishes, chance.between(1, most)));
    switch (chapter) {
      case "create":
        return [...this.wishes, ...Array.from({ length: chance.between(2, 3) }, () => this.#newVm())];
      case "resize":
        return this.wishes.map((wish) => (chosen.has(wish) ? resized(wish) : wish));
      case "describe":
        return this.wishes.map((wish) => (chosen.has(wish) ? withDisk(wish) : described(wish)));
      case "rename": {
        const one = chance.pick(this.wishes.filter(({ formerName }) => formerName === undefined));
        return this.wishes.map((wish) => (wish === one ? renamed(wish) : wish));
      }
      case "remove":
        return this.wishes.filter((wish) => !chosen.has(wish));
      default:
        return chapter satisfies never;
    }
  }

  #newVm(): VmWish {
    const chance = this.#chance;
    this.#born += 1;
    const extra = Array.from({ length: chance.between(1, 2) }, (_, index) => ({
      name: `data-${index + 1}`,
      gibibytes: chance.between(1, 9),
      image: chance.isTrue(0.3) ? chance.pick(this.#images) : undefined,
    }));
    return {
      application: chance.pick(applications),
      name: `vm-${this.#born}`,
      machineType: this.#machineType,
      cpu: chance.between(1, 4),
      memoryMiB: 1024 * chance.between(1, 4),
      description: `the first text of vm-${this.#born}`,
      tags: [`tier-${chance.between(1, 3)}`],
      state: chance.isTrue(0.15) ? "shutoff" : "running",
      disks: [{ name: "system", gibibytes: 2, image: chance.pick(this.#images) }, ...extra],
      nics: [{ name: "front", vlan: 10 }, ...(chance.isTrue(0.5) ? [{ name: "back", vlan: 20 }] : [])],
    };
  }

  async #write(before: Scene): Promise<void> {
    const files = manifestsOf(this.#scene);
    for (const name of manifestsOf(before).keys()) if (!files.has(name)) await rm(join(this.#folder, name));
    for (const [name, text] of files) {
      const file = join(this.#folder, name);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, text);
    }
  }
}

function resized(wish: VmWish): VmWish {
  return { ...wish, memoryMiB: wish.memoryMiB === 4096 ? 1024 : wish.memoryMiB + 1024, cpu: (wish.cpu % 4) + 1 };
}

function described(wish: VmWish): VmWish {
  return { ...wish, description: `${wish.description.replace(/^the \w+ text/, "the other text")}.` };
}

function withDisk(wish: VmWish): VmWish {
  const number = wish.disks.length;
  return { ...wish, disks: [...wish.disks, { name: `more-${number}`, gibibytes: number, image: undefined }] };
}

function renamed(wish: VmWish): VmWish {
  return { ...wish, name: `${wish.name}-renamed`, formerName: wish.name };
}

function droppedDisks(before: readonly VmWish[], after: readonly VmWish[]): string[] {
  return after.flatMap((wish) => {
    const name = stableName(wish.name);
    const disks = before.find((earlier) => stableName(earlier.name) === name)?.disks ?? [];
    return disks
      .filter((disk) => !wish.disks.some((kept) => kept.name === disk.name))
      .map((disk) => `${name}/${disk.name}`);
  });
}
