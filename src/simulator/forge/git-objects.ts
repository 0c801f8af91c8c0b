import { git, gitLines, gitText } from "./git-command.ts";
import { answerAboutRefs } from "./ref-answers.ts";

/** Questions about commits and refs of one bare repository, and the single write `moveRef`. */

export interface CommitInfo {
  readonly sha: string;
  readonly tree: string;
  readonly parents: readonly string[];
  readonly author: Signature;
  readonly committer: Signature;
  readonly message: string;
}

export interface Signature {
  readonly name: string;
  readonly email: string;
  /** ISO 8601, in the zone it was written in. */
  readonly date: string;
}

export const ZERO_SHA = "0".repeat(40);

/** Branches and tags with what they point to. */
export async function listRefs(directory: string): Promise<Map<string, string>> {
  const format = "--format=%(refname) %(objectname)";
  const text = await answerAboutRefs(directory, "list", async () =>
    Buffer.from(await gitText(directory, ["for-each-ref", format, "refs/heads", "refs/tags"])),
  );
  const lines = (text?.toString() ?? "").split("\n").filter((line) => line !== "");
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), line.slice(line.lastIndexOf(" ") + 1)]));
}

// A commit does not change and does not go. Clients ask for the statuses of one again and again, and a process of git
// each time is what a simulated forge spends most of its time on.
const knownCommits = new Set<string>();
const mostKnown = 10_000;

/** The commit a full id, branch, tag or other ref stands for. */
export async function findCommit(directory: string, ref: string): Promise<string | undefined> {
  if (ref.startsWith("-")) return undefined;
  const known = `${directory} ${ref}`;
  if (knownCommits.has(known)) return ref;
  const { code, stdout } = await git(
    directory,
    ["rev-parse", "--verify", "--quiet", "--end-of-options", `${ref}^{commit}`],
    {
      accept: [0, 1, 128],
    },
  );
  const found = code === 0 ? stdout.trim() : undefined;
  if (found === ref) {
    if (knownCommits.size >= mostKnown) knownCommits.clear();
    knownCommits.add(known);
  }
  return found;
}

export async function findBranch(directory: string, branch: string): Promise<string | undefined> {
  return (await listRefs(directory)).get(`refs/heads/${branch}`);
}

export async function isAncestor(directory: string, ancestor: string, descendant: string): Promise<boolean> {
  return (
    (await git(directory, ["merge-base", "--is-ancestor", ancestor, descendant], { accept: [0, 1, 128] })).code === 0
  );
}

export async function findMergeBase(directory: string, one: string, other: string): Promise<string | undefined> {
  const { code, stdout } = await git(directory, ["merge-base", one, other], { accept: [0, 1] });
  return code === 0 ? stdout.trim() : undefined;
}

/** Commits reachable from `to` and not from `from`, oldest first. */
export function listCommits(directory: string, from: string, to: string, ...flags: string[]): Promise<string[]> {
  return gitLines(directory, ["rev-list", "--reverse", "--topo-order", ...flags, to, `^${from}`]);
}

/** The newest commits of a ref with the first line of their messages. */
export async function listSubjects(
  directory: string,
  ref: string,
  limit: number,
): Promise<{ readonly sha: string; readonly subject: string }[]> {
  const lines = await gitLines(directory, ["log", `--max-count=${limit}`, "--format=%H %s", ref, "--"]);
  return lines.map((line) => ({ sha: line.slice(0, 40), subject: line.slice(41) }));
}

export async function readCommit(directory: string, sha: string): Promise<CommitInfo> {
  const format = ["%H", "%T", "%P", "%an", "%ae", "%aI", "%cn", "%ce", "%cI", "%B"].join("%x00");
  const text = await gitText(directory, ["show", "-s", `--format=${format}`, sha]);
  const [id = "", tree = "", parents = "", an = "", ae = "", ad = "", cn = "", ce = "", cd = "", message = ""] =
    text.split("\0");
  return {
    sha: id,
    tree,
    parents: parents === "" ? [] : parents.split(" "),
    author: { name: an, email: ae, date: ad },
    committer: { name: cn, email: ce, date: cd },
    message: message.trimEnd(),
  };
}

/** Sets a ref (or removes it with ZERO_SHA), only if it still is where the caller saw it; false when it moved meanwhile. */
export async function moveRef(directory: string, ref: string, to: string, from?: string): Promise<boolean> {
  const change = to === ZERO_SHA ? ["-d", ref] : [ref, to];
  const { code } = await git(directory, ["update-ref", ...change, ...(from === undefined ? [] : [from])], {
    accept: [0, 1, 128],
  });
  return code === 0;
}

/** Brings a commit of another local repository here, under a ref. */
export async function copyRef(source: string, ref: string, directory: string, target: string): Promise<void> {
  await git(directory, ["fetch", "--quiet", "--no-tags", "--no-auto-gc", source, `+${ref}:${target}`]);
}

export interface FileChange {
  readonly path: string;
  readonly previousPath: string | undefined;
  readonly status: "added" | "removed" | "modified" | "renamed" | "copied" | "changed";
  readonly blob: string;
  readonly additions: number;
  readonly deletions: number;
}

/** What changed between two commits, renames found. */
export async function listChanges(directory: string, from: string, to: string): Promise<FileChange[]> {
  const flags = ["diff-tree", "-r", "-M", "-z"];
  const [raw, counts] = await Promise.all([
    gitText(directory, [...flags, "--raw", "--no-abbrev", from, to]),
    gitText(directory, [...flags, "--numstat", from, to]),
  ]);
  const lineCounts = parseCounts(counts.split("\0"));
  return parseRaw(raw.split("\0")).map((change) => ({
    ...change,
    ...(lineCounts.get(change.path) ?? { additions: 0, deletions: 0 }),
  }));
}

const STATUS_NAMES = { A: "added", D: "removed", M: "modified", R: "renamed", C: "copied", T: "changed" } as const;

function parseRaw(fields: readonly string[]): Omit<FileChange, "additions" | "deletions">[] {
  const changes: Omit<FileChange, "additions" | "deletions">[] = [];
  for (let at = 0; at + 1 < fields.length; ) {
    const [, , before = "", after = "", code = "M"] = fields[at]?.split(" ") ?? [];
    const letter = code.charAt(0) as keyof typeof STATUS_NAMES;
    const moved = letter === "R" || letter === "C";
    const path = fields[at + (moved ? 2 : 1)] ?? "";
    const blob = letter === "D" ? before : after;
    changes.push({ path, previousPath: moved ? fields[at + 1] : undefined, status: STATUS_NAMES[letter], blob });
    at += moved ? 3 : 2;
  }
  return changes;
}

/** `added TAB deleted TAB path NUL`, or for a rename an empty path followed by `old NUL new NUL`; `-` stands for binary. */
function parseCounts(fields: readonly string[]): Map<string, { additions: number; deletions: number }> {
  const counts = new Map<string, { additions: number; deletions: number }>();
  for (let at = 0; at < fields.length; ) {
    const [added = "", deleted = "", path = ""] = fields[at]?.split("\t") ?? [];
    const renamed = path === "";
    counts.set(renamed ? (fields[at + 2] ?? "") : path, {
      additions: Number(added) || 0,
      deletions: Number(deleted) || 0,
    });
    at += renamed ? 3 : 1;
  }
  return counts;
}

/** The hunks of one file, as in the `patch` member of GitHub's file list; undefined for binary files. */
export async function readPatch(
  directory: string,
  from: string,
  to: string,
  change: FileChange,
): Promise<string | undefined> {
  const paths = change.previousPath === undefined ? [change.path] : [change.previousPath, change.path];
  const literal = { env: { GIT_LITERAL_PATHSPECS: "1" } };
  const text = await gitText(directory, ["diff-tree", "-p", "-M", from, to, "--", ...paths], literal);
  const hunks = text.indexOf("\n@@ ");
  return hunks === -1 ? undefined : text.slice(hunks + 1);
}
