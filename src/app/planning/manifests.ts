import { contentHash } from "../../lib/canonical-json.ts";
import { WatcherError } from "../../lib/errors.ts";
import type { Cluster } from "../../fleet/cluster.ts";
import { buildDesiredState } from "../../fleet/build-desired-state.ts";
import type { DesiredState } from "../../fleet/desired-state.ts";
import { createTargetCache } from "../../fleet/target-cache.ts";
import { defaultLimits, type ParsedFile, parseManifest, refuseEntry } from "../../manifest/parse.ts";
import type { Problem } from "../../manifest/problem.ts";
import type { GitSource, TreeEntry } from "../../ports/git-source.ts";

/** What rendering depends on beside the files: a different answer means different desired states. */
export interface FleetSettings {
  readonly repository: string;
  readonly clusters: readonly Cluster[];
  readonly defaultClusters: readonly string[];
  readonly allowHttp: boolean;
}

export interface Manifests {
  /** The desired state at a commit (or tree). Costs what changed since a revision loaded before. */
  load(treeish: string, settings: FleetSettings, signal: AbortSignal): Promise<LoadedManifests>;
}

export interface LoadedManifests {
  readonly desired: DesiredState;
  readonly treeId: string | undefined;
}

interface Snapshot {
  /** Commit or tree of the whole repository it was read from. */
  readonly treeish: string;
  readonly files: ReadonlyMap<string, TreeEntry>;
}

const keptSnapshots = 8;
const keptStates = 16;

/**
 * Reads manifests out of git: a file list that is carried from revision to revision by its difference, documents
 * parsed once per blob, targets rendered once per document and settings.
 */
export function createManifests(git: GitSource, folder: string): Manifests {
  const documents = new Map<string, ParsedFile>();
  const snapshots = new Map<string, Snapshot>();
  const states = new Map<string, DesiredState>();
  const targets = createTargetCache();
  let latest: Snapshot | undefined;

  async function snapshotOf(treeish: string, treeId: string, signal: AbortSignal): Promise<Snapshot> {
    const known = snapshots.get(treeId);
    if (known !== undefined) return known;
    const files =
      latest === undefined ? await git.listFiles(treeish, signal) : await carryForward(latest, treeish, signal);
    const snapshot = { treeish, files };
    remember(snapshots, treeId, snapshot, keptSnapshots);
    latest = snapshot;
    return snapshot;
  }

  async function carryForward(
    from: Snapshot,
    treeish: string,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, TreeEntry>> {
    const files = new Map(from.files);
    for (const [path, entry] of await git.changedFiles(from.treeish, treeish, signal)) {
      if (entry === undefined) files.delete(path);
      else files.set(path, entry);
    }
    return files;
  }

  async function parseFiles(
    files: ReadonlyMap<string, TreeEntry>,
    allowHttp: boolean,
    signal: AbortSignal,
  ): Promise<ParsedFile[]> {
    const wanted = [...files]
      .filter(([path, entry]) => isManifest(path) && entry.kind !== "submodule")
      .sort(([a], [b]) => (a < b ? -1 : 1));
    const missing = wanted.filter(
      ([path, entry]) => entry.kind === "file" && !documents.has(documentKey(path, entry, allowHttp)),
    );
    const blobs = await git.readBlobs(
      [...new Set(missing.map(([, entry]) => entry.blobId))],
      defaultLimits.maxFileBytes,
      signal,
    );
    for (const [path, entry] of missing) {
      const bytes = blobs.get(entry.blobId);
      const parsed = bytes === undefined ? refuseEntry(path, "too-large") : parseManifest(path, bytes, { allowHttp });
      documents.set(documentKey(path, entry, allowHttp), parsed);
    }
    return wanted.map(([path, entry]) => {
      if (entry.kind === "symlink") return refuseEntry(path, "symlink");
      const parsed = documents.get(documentKey(path, entry, allowHttp));
      if (parsed === undefined) throw new WatcherError("git-failed", `git gave no content for ${path}`);
      return parsed;
    });
  }

  function forgetOldDocuments(): void {
    const live = new Set(
      [...snapshots.values()].flatMap((snapshot) =>
        [...snapshot.files].flatMap(([path, entry]) => [`${entry.blobId}:${path}`]),
      ),
    );
    for (const key of documents.keys()) if (!live.has(key.slice(key.indexOf(":") + 1))) documents.delete(key);
  }

  return {
    async load(treeish, settings, signal) {
      const treeId = await git.treeId(treeish, signal);
      if (treeId === undefined) return { desired: missingFolder(settings.repository, folder), treeId };
      const stateKey = `${treeId}:${keyOf(settings)}`;
      const known = states.get(stateKey);
      if (known !== undefined) return { desired: known, treeId };
      const before = snapshots.size;
      const snapshot = await snapshotOf(treeish, treeId, signal);
      const files = await parseFiles(snapshot.files, settings.allowHttp, signal);
      const ids = new Map(settings.clusters.map((cluster) => [cluster.name, cluster.id ?? cluster.name]));
      const desired = buildDesiredState({ ...settings, files, cache: targets, clusterId: (name) => ids.get(name) });
      remember(states, stateKey, desired, keptStates);
      if (documents.size > 2 * snapshot.files.size + 1_000 && before >= keptSnapshots) forgetOldDocuments();
      return { desired, treeId };
    },
  };
}

const settingsKeys = new WeakMap<FleetSettings, string>();

/** Settings name every cluster: written out once per configuration, not once per operation. */
function keyOf(settings: FleetSettings): string {
  const key = settingsKeys.get(settings) ?? contentHash(JSON.stringify(settings));
  settingsKeys.set(settings, key);
  return key;
}

function documentKey(path: string, entry: TreeEntry, allowHttp: boolean): string {
  return `${allowHttp ? "http" : "https"}:${entry.blobId}:${path}`;
}

/** Only YAML files are manifests; dot-folders (`.github/`) are somebody else's. */
export function isManifest(path: string): boolean {
  return /\.ya?ml$/i.test(path) && !path.split("/").some((part) => part.startsWith("."));
}

/** The folder is gone: not an empty wish but an error, so nothing is deleted for it. */
function missingFolder(repository: string, folder: string): DesiredState {
  const problem: Problem = {
    severity: "error",
    code: "folder-missing",
    position: { file: folder, line: 1, column: 1 },
    path: "",
    message: `the folder ${folder}/ does not exist in this revision`,
    hint: "check `path` in the configuration",
  };
  return {
    repository,
    targets: new Map(),
    problems: [problem],
    brokenApplications: new Set(),
    complete: false,
    undeployed: new Set(),
  };
}

function remember<T>(map: Map<string, T>, key: string, value: T, limit: number): void {
  map.set(key, value);
  const oldest = map.keys().next().value;
  if (map.size > limit && oldest !== undefined) map.delete(oldest);
}
