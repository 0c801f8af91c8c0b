import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { WatcherError } from "../../lib/errors.ts";
import type { AssetStore } from "../../ports/asset-store.ts";
import type { Exclusive } from "../../ports/exclusive.ts";
import { type Domain, type ListedDomain, toDomain, toListedDomain } from "./domain/domain.ts";
import type { LibvirtOptions, LibvirtTimeouts, Log } from "./options.ts";
import type { Virsh } from "./virsh/virsh.ts";

/** What every operation of the driver works with. */
export interface Host {
  readonly cluster: string;
  readonly virsh: Virsh;
  readonly options: LibvirtOptions;
  readonly timeouts: LibvirtTimeouts;
  readonly assets: AssetStore;
  readonly exclusive: Exclusive;
  readonly log: Log;
}

/** Every domain of the host; one that goes away meanwhile is left out. */
export async function listDomains(host: Host, signal: AbortSignal): Promise<ListedDomain[]> {
  return (await readInGroups(host, signal, (domains) => Promise.resolve(domains))).flat();
}

/** As many groups at a time as serve a client on two cores; more would only wait for each other. */
const groups = 4;
const smallestGroup = 25;

/**
 * Reads all domains in a few groups side by side, and does `work` with each group as soon as it is there: most of the
 * time goes by in the daemon, in virsh and in reading XML, which then happen at the same time.
 */
export async function readInGroups<T>(
  host: Host,
  signal: AbortSignal,
  work: (domains: readonly ListedDomain[]) => Promise<T>,
): Promise<T[]> {
  const listing = ["list --all --uuid", "list --uuid", "list --all --uuid --with-managed-save"];
  const [all, active, saved] = await host.virsh.batch(listing, { what: "list VMs", signal });
  const [running, asleep] = [new Set(wordsOf(active)), new Set(wordsOf(saved))];
  const uuids = wordsOf(all);
  const size = Math.max(smallestGroup, Math.ceil(uuids.length / groups));
  const starts = Array.from({ length: Math.ceil(uuids.length / size) }, (_, index) => index * size);
  return Promise.all(
    starts.map(async (start) => {
      const group = uuids.slice(start, start + size);
      return work(
        await readDomains(
          host,
          group.map((uuid) => [uuid, running.has(uuid), asleep.has(uuid)]),
          signal,
        ),
      );
    }),
  );
}

async function readDomains(
  { virsh }: Host,
  group: readonly (readonly [uuid: string, running: boolean, saved: boolean])[],
  signal: AbortSignal,
): Promise<ListedDomain[]> {
  const commands = group.map(([uuid, running]) => (running ? readingCommands(uuid) : [`dumpxml --inactive ${uuid}`]));
  const answers = await virsh.batch(commands.flat(), { what: "read VMs", signal });
  return group.flatMap(([, running, saved]) => {
    const own = answers.splice(0, running ? commandsEach : 1);
    // One that is off need not be asked for its state.
    const facts = running ? own : [saved ? "shut off (saved)" : "shut off", ...own, undefined];
    const domain = fromAnswers(facts, toListedDomain);
    return domain === undefined ? [] : [domain];
  });
}

export async function findDomain({ virsh }: Host, uuid: string, signal: AbortSignal): Promise<Domain | undefined> {
  if (!isUuid(uuid)) return undefined;
  return fromAnswers(await virsh.batch(readingCommands(uuid), { what: `read VM ${uuid}`, signal }), toDomain);
}

export async function getDomain(host: Host, uuid: string, signal: AbortSignal): Promise<Domain> {
  return (await findDomain(host, uuid, signal)) ?? vanished(host, uuid);
}

export function vanished({ cluster }: Host, uuid: string): never {
  throw new WatcherError("virdomain-changed", `cluster ${cluster}: VM ${uuid} does not exist any more`);
}

const commandsEach = 3;

/** Always by UUID: a name may look like the number of another VM that runs (`virsh domstate 95`). */
function readingCommands(uuid: string): string[] {
  // State first: what was running when the live definition is read after it has one that is at least as new.
  return [`domstate ${uuid} --reason`, `dumpxml --inactive ${uuid}`, `dumpxml ${uuid}`];
}

function fromAnswers<T>(
  [state, config, live]: readonly (string | undefined)[],
  read: (config: string, live: string | undefined, state: string) => T,
): T | undefined {
  if (state === undefined || config === undefined) return undefined;
  return read(config, live?.trimStart().startsWith("<") === true ? live : undefined, state);
}

export function wordsOf(text: string | undefined): string[] {
  return (text ?? "").split(/\s+/).filter((word) => word !== "");
}

/** Addresses of the NICs of all domains. */
export async function listMacs({ virsh }: Host, signal: AbortSignal): Promise<string[]> {
  const call = { what: "list addresses of NICs", signal };
  const uuids = wordsOf((await virsh.batch(["list --all --uuid"], call))[0]);
  return macsIn(
    await virsh.batch(
      uuids.map((uuid) => `domiflist ${uuid} --inactive`),
      call,
    ),
  );
}

export function macsIn(answers: readonly (string | undefined)[]): string[] {
  return answers.flatMap((answer) => answer?.toLowerCase().match(/([0-9a-f]{2}:){5}[0-9a-f]{2}/g) ?? []);
}

const uuidShape = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

function isUuid(text: string): boolean {
  return uuidShape.test(text);
}

/** Hands virsh a text in a file of its own that nobody else can read. */
export async function withFile<T>(host: Host, text: string, work: (path: string) => Promise<T>): Promise<T> {
  return withFolder(host, async (folder) => {
    const path = join(folder, "input.xml");
    await writeFile(path, text, { mode: 0o600 });
    return work(path);
  });
}

/** A folder for a moment, for this user alone. */
export async function withFolder<T>({ options }: Host, work: (folder: string) => Promise<T>): Promise<T> {
  await mkdir(options.workDir, { recursive: true, mode: 0o700 });
  const folder = await mkdtemp(join(options.workDir, "libvirt-"));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
