import { execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What a path holds after a commit; `undefined` deletes it. */
export type FileChange =
  | string
  | Uint8Array
  | { readonly symlink: string }
  | { readonly submodule: string }
  | undefined;

export interface CommitOptions {
  readonly branch?: string;
  readonly message?: string | Uint8Array;
  readonly author?: string;
  /** Encoding named in the commit; the message is then given as bytes. */
  readonly encoding?: string;
  /** Start from here in place of the branch's tip; `null`: without a parent. */
  readonly from?: string | null;
  /** Seconds since 1970; each commit is a second later than the one before by default. */
  readonly timeSeconds?: number;
}

const cleanEnvironment = {
  PATH: process.env["PATH"],
  HOME: "/nonexistent",
  LC_ALL: "C",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_AUTHOR_NAME: "Ada",
  GIT_AUTHOR_EMAIL: "ada@example.com",
  GIT_COMMITTER_NAME: "Ada",
  GIT_COMMITTER_EMAIL: "ada@example.com",
};

/** Runs git without the machine's configuration and answers its output without the last line feed. */
export function git(directory: string, args: readonly string[], input?: string | Uint8Array): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { cwd: directory, env: cleanEnvironment, maxBuffer: 2 ** 28 };
    const child = execFile("git", args, options, (error, stdout) =>
      error ? reject(error) : resolve(stdout.trimEnd()),
    );
    child.stdin?.end(input);
  });
}

/** A new folder under the system's temporary folder, removed with its content by `await using`. */
export async function temporaryFolder(prefix = "kraken-gitops-"): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), prefix));
  return {
    path,
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5 }),
  };
}

/** A real bare repository that is written to without a working tree. */
export class TestRepository {
  readonly path: string;
  #clock = 1_700_000_000;

  private constructor(path: string) {
    this.path = path;
  }

  static async create(path: string, defaultBranch = "main"): Promise<TestRepository> {
    await mkdir(path, { recursive: true });
    await git(path, ["init", "--quiet", "--bare", `--initial-branch=${defaultBranch}`]);
    return new TestRepository(path);
  }

  git(...args: readonly string[]): Promise<string> {
    return git(this.path, args);
  }

  /** Adds a commit to a branch (`main` by default) and answers its id. */
  async commit(files: Readonly<Record<string, FileChange>>, options: CommitOptions = {}): Promise<string> {
    const branch = options.branch ?? "main";
    const from = options.from === undefined ? await this.tip(branch) : (options.from ?? undefined);
    const stream = importStream(files, options, from, options.timeSeconds ?? (this.#clock += 1));
    await this.#fastImport(Buffer.concat(stream));
    const id = await this.git("rev-parse", "refs/import/new");
    await this.git("update-ref", `refs/heads/${branch}`, id);
    return id;
  }

  /** Merges a branch or commit into a branch with a merge commit, as a forge's button does. */
  async merge(into: string, head: string, message = `Merge ${head}`): Promise<string> {
    const tree = await this.git("merge-tree", "--write-tree", into, head);
    const id = await this.git("commit-tree", tree, "-p", into, "-p", head, "-m", message);
    await this.git("update-ref", `refs/heads/${into}`, id);
    return id;
  }

  /** The commit of a branch or full reference, if it is there. */
  async tip(ref: string): Promise<string | undefined> {
    const name = ref.startsWith("refs/") ? ref : `refs/heads/${ref}`;
    return (await this.git("for-each-ref", "--format=%(objectname)", name)) || undefined;
  }

  async setRef(ref: string, id: string | undefined): Promise<void> {
    await this.git("update-ref", ...(id === undefined ? ["-d", ref] : [ref, id]));
  }

  #fastImport(stream: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      const stdio = ["pipe", "ignore", "pipe"] as const;
      const child = spawn("git", ["fast-import", "--quiet", "--force"], {
        cwd: this.path,
        env: cleanEnvironment,
        stdio: [...stdio],
      });
      let complaint = "";
      child.stderr?.on("data", (chunk: Buffer) => (complaint += chunk.toString()));
      child.once("error", reject);
      child.once("close", (code) => (code === 0 ? resolve() : reject(new Error(complaint))));
      child.stdin?.end(stream);
    });
  }
}

function importStream(
  files: Readonly<Record<string, FileChange>>,
  options: CommitOptions,
  from: string | undefined,
  seconds: number,
): readonly Uint8Array[] {
  const message = Buffer.from(options.message ?? "Change files");
  const head = [
    "reset refs/import/new\n", // forgets the branch of the commit before
    "commit refs/import/new\n",
    `author ${options.author ?? "Ada <ada@example.com>"} ${seconds} +0000\n`,
    `committer Ada <ada@example.com> ${seconds} +0000\n`,
    ...(options.encoding === undefined ? [] : [`encoding ${options.encoding}\n`]),
    `data ${message.length}\n`,
  ].join("");
  const parent = from === undefined ? "" : `from ${from}\n`;
  const changes = Object.entries(files).flatMap(([path, change]) => fileCommand(path, change));
  return [Buffer.from(head), message, Buffer.from(`\n${parent}`), ...changes, Buffer.from("\n")];
}

function fileCommand(path: string, change: FileChange): readonly Uint8Array[] {
  const name = JSON.stringify(path);
  if (change === undefined) return [Buffer.from(`D ${name}\n`)];
  if (typeof change === "object" && "submodule" in change)
    return [Buffer.from(`M 160000 ${change.submodule} ${name}\n`)];
  const symlink = typeof change === "object" && "symlink" in change;
  const data = Buffer.from(symlink ? change.symlink : change);
  return [
    Buffer.from(`M ${symlink ? "120000" : "100644"} inline ${name}\ndata ${data.length}\n`),
    data,
    Buffer.from("\n"),
  ];
}
