import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { WorkTree } from "../../src/cli/demo/work-tree.ts";
import type { Chance } from "./chance.ts";
import { manifestsOf, type VmWish } from "./fleet.ts";

export type Chapter = "create" | "resize" | "describe" | "remove" | "revert";

const applications = ["shop", "office"];
/** At most so many VMs, so that a sync stays short. */
const mostVms = 8;

/** What people commit: VMs come, change, go, and come back by a revert. Keeps what the tip of main asks for. */
export class Story {
  readonly commits: string[] = [];
  readonly #tree: WorkTree;
  readonly #folder: string;
  readonly #chance: Chance;
  readonly #images: readonly string[];
  readonly #machineType: VmWish["machineType"];
  #wishes: readonly VmWish[] = [];
  #before: readonly VmWish[] | undefined;
  #born = 0;
  /** Something was taken away since the last sync; more of it would be over the deletion budget of 3 VMs. */
  #lossy = false;

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
    return this.#wishes;
  }

  get tip(): string {
    return this.commits.at(-1) ?? "";
  }

  /** A chapter that fits what there is. */
  choose(): Chapter {
    if (this.#wishes.length < 3) return "create";
    const fitting: Chapter[] = ["resize", "describe"];
    if (!this.#lossy) fitting.push("remove");
    if (this.#wishes.length + 3 <= mostVms) fitting.push("create", "create");
    if (this.#before !== undefined && !this.#lossy) fitting.push("revert");
    return this.#chance.pick(fitting);
  }

  /** The tip is in place: what comes next is counted against it. */
  settled(): void {
    this.#lossy = false;
  }

  /** Commits a chapter without pushing it. */
  async commit(chapter: Chapter): Promise<void> {
    const now = this.#wishes;
    this.#lossy ||= chapter === "revert" || chapter === "remove";
    if (chapter === "revert") {
      await this.#tree.git("revert", "--no-edit", "HEAD");
      this.#wishes = this.#before ?? now;
      this.#before = undefined;
    } else {
      this.#wishes = this.#imagine(chapter);
      this.#before = now.length === 0 ? undefined : now;
      await this.#write(now);
      await this.#tree.commit(`${chapter} (${this.commits.length + 1})`);
    }
    this.commits.push(await this.#tree.git("rev-parse", "HEAD"));
  }

  async push(): Promise<void> {
    await this.#tree.push("main");
  }

  #imagine(chapter: Exclude<Chapter, "revert">): VmWish[] {
    const chance = this.#chance;
    const chosen = new Set(chance.some(this.#wishes, chance.between(1, chapter === "remove" ? 2 : 3)));
    switch (chapter) {
      case "create":
        return [...this.#wishes, ...Array.from({ length: chance.between(2, 3) }, () => this.#newVm())];
      case "resize":
        return this.#wishes.map((wish) => (chosen.has(wish) ? resized(wish) : wish));
      case "describe":
        return this.#wishes.map((wish) => (chosen.has(wish) ? withDisk(wish) : described(wish)));
      case "remove":
        return this.#wishes.filter((wish) => !chosen.has(wish));
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

  async #write(before: readonly VmWish[]): Promise<void> {
    const files = manifestsOf(this.#wishes);
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
