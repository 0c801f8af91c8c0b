import { access, constants } from "node:fs/promises";
import { isAbsolute } from "node:path";
import { WatcherError } from "../../lib/errors.ts";
import type { Commit, GitSource, MergeResult, TreeEntry, WantedRevision } from "../../ports/git-source.ts";
import type { SignaturePolicy, SignatureVerdict } from "../../sync/signature-verdict.ts";
import { CatFile } from "./cat-file.ts";
import { GitExit } from "./git-command.ts";
import type { GitAuth } from "./git-environment.ts";
import { assertRefName, parseRemote } from "./git-remote.ts";
import { tidyMirror } from "./maintenance.ts";
import { MirrorCommands, MirrorDamaged } from "./mirror-commands.ts";
import { assertId, MirrorReader, short } from "./mirror-reader.ts";
import { prepareSignerKeys } from "./signer-keys.ts";
import { type VerifyParts, verifySignatures } from "./verify-signatures.ts";

export interface GitSourceOptions {
  /** http(s)://, ssh://, git://, file://, `user@host:path` or an absolute folder; without a password. */
  readonly url: string;
  readonly branch: string;
  /** Folder of the manifests within the repository; "" for its root. */
  readonly path: string;
  /** Absolute folder of the bare mirror; made when it is not there. Several processes may share it. */
  readonly mirrorDir: string;
  readonly auth?: GitAuth | undefined;
  /** Private folder for the keys that signatures are judged by; beside the mirror unless given. */
  readonly signersDir?: string | undefined;
  /** PEM file with the certificate authorities that HTTPS servers are checked against. */
  readonly caFile?: string | undefined;
  /** `http://host:port`, also `socks5h://`; without it the HTTPS_PROXY family of environment variables holds. */
  readonly proxy?: string | undefined;
  /** Longest time for the cheap check, and longest silence during a fetch; 30 s. */
  readonly timeoutMs?: number | undefined;
  /** Longest duration of a whole fetch; 15 min. */
  readonly fetchTimeoutMs?: number | undefined;
  /** Most bytes that one fetch may bring; no limit by default. */
  readonly maxFetchBytes?: number | undefined;
  /** The program's environment, of which PATH and the like are passed on. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
}

const wantedRefs = "refs/kraken/wanted";
/** Every fetch that brings something adds a pack to the mirror. */
const changesBetweenTidying = 50;

/** Opens (and makes, mends or replaces) the mirror. Nothing is fetched yet. Throws `config-invalid` and `git-failed`. */
export async function openGitSource(options: GitSourceOptions): Promise<GitSource> {
  const remote = parseRemote(options.url);
  assertRefName(`refs/heads/${options.branch}`);
  await assertFiles(options);
  const timeoutMs = options.timeoutMs ?? 30_000;
  const commands = new MirrorCommands({
    mirrorDir: options.mirrorDir,
    remote,
    auth: options.auth,
    caFile: options.caFile,
    proxy: options.proxy,
    timeoutMs,
    fetchTimeoutMs: options.fetchTimeoutMs ?? 900_000,
    maxFetchBytes: options.maxFetchBytes,
    inherited: options.environment ?? process.env,
  });
  const starting = AbortSignal.timeout(60_000);
  const version = await commands.version(starting);
  if (!atLeast(version, 2, 31)) {
    // Older ones ignore settings given by environment variables, and with them the limits on hooks and protocols.
    throw new WatcherError("config-invalid", `git 2.31 or newer is needed; this is git ${version}.`);
  }
  await commands.ensureMirror(starting);
  const batchCommand = atLeast(version, 2, 36);
  const catFile = new CatFile({ cwd: commands.cwd, env: commands.env, batchCommand, timeoutMs: 60_000 });
  const signersDir = options.signersDir ?? `${options.mirrorDir}-signers`;
  const folder = folderOf(options.path);
  return new SimpleGitSource({ branch: options.branch, folder, version, commands, catFile, signersDir });
}

interface Parts extends VerifyParts {
  readonly branch: string;
  /** "" or `manifests/`. */
  readonly folder: string;
  readonly version: string;
}

class SimpleGitSource implements GitSource {
  readonly #branch: string;
  readonly #reader: MirrorReader;
  readonly #version: string;
  readonly #commands: MirrorCommands;
  readonly #catFile: CatFile;
  readonly #parts: VerifyParts;
  readonly #closing = new AbortController();
  #changes = 0;
  #tidying: Promise<void> | undefined;

  constructor(parts: Parts) {
    this.#branch = parts.branch;
    this.#reader = new MirrorReader(parts);
    this.#version = parts.version;
    this.#commands = parts.commands;
    this.#catFile = parts.catFile;
    this.#parts = parts;
  }

  async remoteTip(signal: AbortSignal): Promise<string | undefined> {
    const name = `refs/heads/${this.#branch}`;
    return (await this.#commands.listRemote([name], signal)).get(name);
  }

  async listBranches(prefix: string, signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
    const start = `refs/heads/${prefix}`;
    assertRefName(`${start}x`);
    const found = await this.#commands.listRemote([`${start}*`], signal);
    // ls-remote matches its pattern at the end of a ref's path, wherever that begins.
    const within = [...found].filter(([ref]) => ref.startsWith(start));
    return new Map(within.map(([ref, tip]) => [ref.slice("refs/heads/".length), tip]));
  }

  async fetchBranch(signal: AbortSignal): Promise<string | undefined> {
    const before = await this.#tip(signal);
    const here = await this.#mending(signal, () => this.#fetchBranch(signal));
    const tip = here ? await this.#tip(signal) : undefined;
    if (tip !== before) this.#tidy();
    return tip;
  }

  async ensureRevisions(wanted: readonly WantedRevision[], signal: AbortSignal): Promise<void> {
    for (const { revision, ref } of wanted) {
      assertId(revision);
      if (ref !== undefined) assertRefName(ref);
    }
    await this.#mending(signal, () => this.#ensure(wanted, signal));
  }

  listFiles(treeish: string, signal: AbortSignal): Promise<ReadonlyMap<string, TreeEntry>> {
    return this.#reader.listFiles(treeish, signal);
  }

  changedFiles(from: string, to: string, signal: AbortSignal): Promise<ReadonlyMap<string, TreeEntry | undefined>> {
    return this.#reader.changedFiles(from, to, signal);
  }

  readBlobs(
    ids: readonly string[],
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, Uint8Array | undefined>> {
    return this.#reader.readBlobs(ids, maxBytes, signal);
  }

  treeId(treeish: string, signal: AbortSignal): Promise<string | undefined> {
    return this.#reader.treeId(treeish, signal);
  }

  readCommit(revision: string, signal: AbortSignal): Promise<Commit> {
    return this.#reader.readCommit(revision, signal);
  }

  findCommit(revision: string, signal: AbortSignal): Promise<string | undefined> {
    return this.#reader.findCommit(revision, signal);
  }

  verifySignatures(
    revisions: readonly string[],
    policy: SignaturePolicy,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, SignatureVerdict>> {
    return verifySignatures(this.#parts, revisions, policy, signal);
  }

  async countSigners(policy: SignaturePolicy): Promise<{ readonly ssh: number; readonly gpg: number }> {
    return (await prepareSignerKeys(policy, this.#parts.signersDir, this.#commands.env)).counts;
  }

  async isAncestor(ancestor: string, descendant: string, signal: AbortSignal): Promise<boolean> {
    [ancestor, descendant].forEach(assertId);
    const doing = `compare ${short(ancestor)} with ${short(descendant)}`;
    return (await this.#commands.question(["merge-base", "--is-ancestor", ancestor, descendant], doing, signal)).yes;
  }

  async listCommits(
    from: string | undefined,
    to: string,
    limit: number,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    [to, from ?? to].forEach(assertId);
    const range = from === undefined ? [to] : [to, `^${from}`];
    const args = ["rev-list", "--topo-order", `--max-count=${limit}`, ...range];
    const output = await this.#reader.local(args, `list the commits up to ${short(to)}`, signal);
    return output.split("\n").filter((line) => line !== "");
  }

  async mergeTree(base: string, head: string, signal: AbortSignal): Promise<MergeResult> {
    [base, head].forEach(assertId);
    if (!atLeast(this.#version, 2, 38)) {
      throw new WatcherError(
        "config-invalid",
        `Merging pull requests needs git 2.38 or newer; this is git ${this.#version}.`,
      );
    }
    const args = ["merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", base, head];
    const merge = await this.#commands
      .question(args, `merge ${short(head)} into ${short(base)}`, signal)
      .catch(unrelated);
    const [tree = "", ...files] = merge.output.split("\0").filter((field) => field !== "");
    return merge.yes ? { kind: "merged", tree } : { kind: "conflict", files: [...new Set(files)] };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#tidying;
    await this.#catFile[Symbol.asyncDispose]();
  }

  get #branchRef(): string {
    return `refs/kraken/branch/${flat(this.#branch)}`;
  }

  /** False: the repository is empty and always was. */
  async #fetchBranch(signal: AbortSignal): Promise<boolean> {
    try {
      await this.#commands.fetch(
        [`+refs/heads/${this.#branch}:${this.#branchRef}`],
        `fetch branch ${this.#branch}`,
        signal,
      );
      return true;
    } catch (error) {
      if (!(error instanceof WatcherError && error.code === "git-branch-missing")) throw error;
      return await this.#explainMissingBranch(error, signal);
    }
  }

  /** A branch that is gone is never an empty fleet: only a repository without any commit answers quietly. */
  async #explainMissingBranch(cause: WatcherError, signal: AbortSignal): Promise<false> {
    const branches = [...(await this.#commands.listRemote([], signal)).keys()].map((ref) =>
      ref.slice("refs/heads/".length),
    );
    const known = await this.#tip(signal);
    if (branches.length === 0 && known === undefined) return false;
    const others = branches.length === 0 ? "it has no branches now" : `it has ${branches.slice(0, 5).join(", ")}`;
    const advice = "Was it renamed or deleted? Nothing is changed until it is back or another branch is configured.";
    const message = `Branch ${this.#branch} is not in ${this.#commands.remoteName}; ${others}. ${advice}`;
    throw new WatcherError("git-branch-missing", message, { cause });
  }

  async #tip(signal: AbortSignal): Promise<string | undefined> {
    return (await this.#reader.resolve([this.#branchRef], signal))[0];
  }

  async #ensure(wanted: readonly WantedRevision[], signal: AbortSignal): Promise<void> {
    const absent = await this.#absent(wanted, signal);
    const refs = [...new Set(absent.flatMap(({ ref }) => ref ?? []))];
    for (const ref of refs) await this.#fetchWanted(ref, signal);
    // A pull request may have moved on since it was seen; most forges still give the older commit by its id.
    const ids = (await this.#absent(absent, signal)).map(({ revision }) => revision);
    if (ids.length > 0) await this.#commands.fetch(ids, `fetch ${ids.map(short).join(", ")}`, signal);
  }

  async #fetchWanted(ref: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#commands.fetch([`+${ref}:${wantedRefs}/${flat(ref)}`], `fetch ${ref}`, signal);
    } catch (error) {
      const gone = error instanceof WatcherError && ["git-revision-missing", "git-branch-missing"].includes(error.code);
      if (!gone) throw error; // a reference that is gone may still be reached by its commit id
    }
  }

  async #absent(wanted: readonly WantedRevision[], signal: AbortSignal): Promise<readonly WantedRevision[]> {
    const names = wanted.map(({ revision }) => `${revision}^{tree}`);
    const found = await this.#reader.resolve(names, signal);
    return wanted.filter((_one, index) => found[index] === undefined);
  }

  /** Runs a network step; a mirror that shows damage is replaced once and the step run again. */
  async #mending<T>(signal: AbortSignal, step: () => Promise<T>): Promise<T> {
    try {
      if (!this.#reader.damaged) return await step();
    } catch (error) {
      if (!(error instanceof MirrorDamaged)) throw error;
    }
    await this.#commands.rebuildMirror(signal);
    await this.#catFile.restart();
    this.#reader.damaged = false;
    await this.#fetchBranch(signal);
    return await step();
  }

  /** Runs beside the work; whatever goes wrong with it shows at the next real command. */
  #tidy(): void {
    this.#changes += 1;
    if (this.#changes % changesBetweenTidying !== 1) return;
    this.#tidying = tidyMirror(this.#commands, wantedRefs, this.#closing.signal).catch(() => undefined);
  }
}

/** Histories without a common commit are refused by forges too: nothing to merge, and no file to name. */
function unrelated(error: unknown): { yes: boolean; output: string } {
  const exit = error instanceof WatcherError ? error.cause : undefined;
  if (exit instanceof GitExit && exit.stderr.includes("unrelated histories")) return { yes: false, output: "" };
  throw error;
}

/** Slashes would let the references `a` and `a/b` stand in each other's way on disk. */
function flat(ref: string): string {
  return ref.replaceAll("/", ",");
}

function atLeast(version: string, major: number, minor: number): boolean {
  const [foundMajor = 0, foundMinor = 0] = version.split(".").map(Number);
  return foundMajor > major || (foundMajor === major && foundMinor >= minor);
}

function folderOf(path: string): string {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..") || /[\0\n]/.test(path))
    throw new WatcherError("config-invalid", `The path "${path}" leaves the repository.`);
  return parts.length === 0 ? "" : `${parts.join("/")}/`;
}

async function assertFiles({ mirrorDir, caFile, auth }: GitSourceOptions): Promise<void> {
  if (!isAbsolute(mirrorDir))
    throw new WatcherError("config-invalid", `The mirror's folder ${mirrorDir} is not an absolute path.`);
  const ssh = auth?.kind === "ssh" ? [auth.keyFile, auth.knownHostsFile] : [];
  for (const file of [caFile, ...ssh].filter((name) => name !== undefined)) {
    await access(file, constants.R_OK).catch((cause: unknown) => {
      throw new WatcherError("config-invalid", `The file ${file} cannot be read.`, { cause });
    });
  }
}
