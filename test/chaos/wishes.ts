import type { DesiredAsset, DesiredState, DesiredVirdomain } from "../../src/fleet/desired-state.ts";
import { defaultPolicy } from "../../src/manifest/document.ts";
import type { Chance } from "../crash/chance.ts";
import { blankDisk, cdrom, cloudInit, desiredVm, imageDisk, MiB } from "../support/desired-vm.ts";
import { desiredState, target } from "../support/virdomains.ts";
import { type Change, changes, type Media, rebuilds } from "./changes.ts";

const applications = ["shop", "office"] as const;
const policy = {
  ...defaultPolicy,
  cloudInit: "rebuild",
  // What is deleted has to be gone, so that what is left behind is found.
  quarantineMs: 0,
  deletionBudget: { count: 1_000, percent: 100 },
  shutdownGraceMs: 300,
} as const;
/** Fewest and most VMs at once. */
const few = 10;
const many = 18;

/** What is asked of one cluster, revision after revision. Hangs on its chance and nothing else. */
export class Wishes {
  readonly #cluster: string;
  readonly #chance: Chance;
  readonly #media: Media;
  /** Names of VMs that carry things of other people: they change, and are never made anew. */
  readonly #kept = new Set<string>();
  #virdomains: readonly DesiredVirdomain[] = [];
  #gone: string[] = [];
  #born = 0;
  #revisions = 0;

  constructor(cluster: string, chance: Chance, media: Media) {
    this.#cluster = cluster;
    this.#chance = chance;
    this.#media = media;
  }

  get virdomains(): readonly DesiredVirdomain[] {
    return this.#virdomains;
  }

  get revision(): string {
    return this.#revisions.toString(16).padStart(40, "0");
  }

  get state(): DesiredState {
    const targets = applications.map((application) =>
      target(
        this.#cluster,
        this.#virdomains.filter(({ identity }) => identity.application === application),
        application,
      ),
    );
    return desiredState(targets.filter(({ virdomains }) => virdomains.length > 0));
  }

  /** The first revision: VMs other people will hang their things on, switched off for that. */
  async begin(count: number): Promise<readonly DesiredVirdomain[]> {
    for (let index = 0; index < count; index += 1) {
      const born = {
        ...(await this.#newVm()),
        state: "shutoff" as const,
        policy: { ...policy, cloudInit: "ignore" as const },
      };
      this.#kept.add(born.identity.resource);
      this.#virdomains = [...this.#virdomains, born];
    }
    this.#revisions += 1;
    return this.#virdomains;
  }

  /**
   * The next revision: VMs come and go, and several change in one or more ways. Answers what happened.
   */
  async turn(): Promise<readonly string[]> {
    this.#revisions += 1;
    const story: string[] = [];
    const loss = this.#virdomains.filter(({ identity }) => !this.#kept.has(identity.resource));
    if (this.#virdomains.length > few && this.#chance.isTrue(0.35)) this.#remove(this.#chance.pick(loss), story);
    const changed = this.#chance.some(this.#virdomains, this.#chance.between(5, 11));
    for (const vm of changed) await this.#change(vm, story);
    const room = many - this.#virdomains.length;
    const births = this.#virdomains.length < few ? 3 : this.#chance.between(0, 2);
    for (let birth = 0; birth < Math.min(room, births); birth += 1) {
      const born = await this.#newVm();
      this.#virdomains = [...this.#virdomains, born];
      story.push(`create ${born.name}`);
    }
    return story;
  }

  #remove(vm: DesiredVirdomain, story: string[]): void {
    this.#virdomains = this.#virdomains.filter((other) => other !== vm);
    this.#gone.push(vm.identity.resource);
    story.push(`delete ${vm.name}`);
  }

  async #change(vm: DesiredVirdomain, story: string[]): Promise<void> {
    const names = Object.keys(changes);
    let next = vm;
    for (const name of this.#chance.some(names, this.#chance.between(1, 3))) {
      if (rebuilds.has(name) && (this.#kept.has(vm.identity.resource) || this.#chance.isTrue(0.5))) continue;
      const change: Change | undefined = changes[name];
      const after = await change?.(next, this.#chance, this.#media);
      if (after === undefined) continue;
      next = after;
      story.push(`${name} ${vm.name}`);
    }
    if (this.#kept.has(vm.identity.resource)) this.#kept.add(next.identity.resource);
    this.#virdomains = this.#virdomains.map((other) => (other === vm ? next : other));
  }

  /** Names and identities of deleted VMs come again: whoever mixes up the old and the new one is found out. */
  async #newVm(): Promise<DesiredVirdomain> {
    const chance = this.#chance;
    const again = chance.isTrue(0.3) ? this.#gone.shift() : undefined;
    this.#born += 1;
    const name = again ?? `vm-${this.#born}`;
    const root = imageDisk("root", await this.#media.image(), {
      capacityBytes: chance.isTrue(0.7) ? chance.between(4, 9) * MiB : undefined,
    });
    const extras = Array.from({ length: chance.between(0, 2) }, (_, index) =>
      blankDisk(`data-${index}`, chance.between(1, 6) * MiB, {
        type: chance.pick(["virtio_disk", "virtio_disk", "scsi_disk", "ide_disk"]),
      }),
    );
    const drive = chance.isTrue(0.3) ? [cdrom("drive", chance.isTrue(0.7) ? await this.#media.iso() : undefined)] : [];
    const nics = chance.some(["lan", "dmz", "backup"], chance.between(1, 3)).map((nic) => ({
      name: nic,
      type: "virtio" as const,
      // Two NICs of one network are legal, and no key to tell them apart.
      network: { vlan: chance.between(0, 1) },
    }));
    return desiredVm(name, {
      identity: { repository: "fleet", application: chance.pick(applications), resource: name, ordinal: 0 },
      cpu: chance.between(1, 4),
      memoryBytes: 256 * MiB * chance.between(1, 4),
      os: chance.isTrue(0.3) ? undefined : chance.pick(["linux", "windows"]),
      machineType: chance.pick(["bios", "uefi", "tpm"]),
      state: chance.isTrue(0.8) ? "running" : "shutoff",
      disks: [root, ...extras, ...drive],
      nics,
      cloudInit: chance.isTrue(0.6) ? cloudInit(`#cloud-config\nhostname: ${name}-${this.#born}\n`) : undefined,
      policy,
    });
  }
}

/** Images and ISOs as they are published over time: mostly one of the last few, sometimes one no cluster has seen. */
export function mediaShelf(
  chance: Chance,
  make: { image(name: string, bytes: number): Promise<DesiredAsset>; iso(name: string): Promise<DesiredAsset> },
): Media {
  const shelf = (freshness: number, publish: (number: number) => Promise<DesiredAsset>) => {
    const published: DesiredAsset[] = [];
    return async (): Promise<DesiredAsset> => {
      if (published.length < 2 || chance.isTrue(freshness)) published.push(await publish(published.length + 1));
      return chance.pick(published.slice(-4));
    };
  };
  return {
    image: shelf(0.15, (number) => make.image(`image-${number}`, chance.between(1, 3) * MiB)),
    iso: shelf(0.1, (number) => make.iso(`tools-${number}`)),
  };
}
