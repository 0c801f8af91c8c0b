import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { WatcherError } from "../../lib/errors.ts";
import type { AssetStore } from "../../ports/asset-store.ts";
import type { Exclusive } from "../../ports/exclusive.ts";
import { type Domain, toDomain } from "./domain/domain.ts";
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

/** Every domain of the host in two processes, whatever their number. A domain that goes away meanwhile is left out. */
export async function listDomains({ virsh }: Host, signal: AbortSignal): Promise<Domain[]> {
  const call = { what: "list VMs", signal };
  const [all, active] = await virsh.batch(["list --all --uuid", "list --uuid"], call);
  const running = new Set(wordsOf(active));
  const uuids = wordsOf(all);
  const commands = uuids.flatMap((uuid) => readingCommands(uuid, running.has(uuid)));
  const answers = await virsh.batch(commands, call);
  return uuids.flatMap((_, index) => {
    const domain = fromAnswers(answers.slice(commandsEach * index, commandsEach * (index + 1)));
    return domain === undefined ? [] : [domain];
  });
}

export async function findDomain({ virsh }: Host, uuid: string, signal: AbortSignal): Promise<Domain | undefined> {
  if (!isUuid(uuid)) return undefined;
  return fromAnswers(await virsh.batch(readingCommands(uuid, true), { what: `read VM ${uuid}`, signal }));
}

export async function getDomain(host: Host, uuid: string, signal: AbortSignal): Promise<Domain> {
  return (await findDomain(host, uuid, signal)) ?? vanished(host, uuid);
}

export function vanished({ cluster }: Host, uuid: string): never {
  throw new WatcherError("virdomain-changed", `cluster ${cluster}: VM ${uuid} does not exist any more`);
}

const commandsEach = 3;

/** Always by UUID: a name may look like the number of another VM that runs (`virsh domstate 95`). */
function readingCommands(uuid: string, running: boolean): string[] {
  // State first: what was running when the live definition is read after it has one that is at least as new.
  return [`domstate ${uuid} --reason`, `dumpxml --inactive ${uuid}`, running ? `dumpxml ${uuid}` : `domid ${uuid}`];
}

function fromAnswers([state, config, live]: readonly (string | undefined)[]): Domain | undefined {
  if (state === undefined || config === undefined) return undefined;
  return toDomain(config, live?.trimStart().startsWith("<") === true ? live : undefined, state);
}

export function wordsOf(text: string | undefined): string[] {
  return (text ?? "").split(/\s+/).filter((word) => word !== "");
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
