import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { sameName } from "./accounts.ts";
import { custom } from "./api-error.ts";
import { git } from "./git-command.ts";
import { findBranch, listRefs } from "./git-objects.ts";
import type { RepositoryRecord } from "./records.ts";
import type { Store } from "./store.ts";

export interface NewRepository {
  readonly owner: string;
  readonly name: string;
  readonly private?: boolean;
  readonly forkOf?: RepositoryRecord;
}

/** The bare repositories on disk and their records. */
export class Repositories {
  readonly #root: string;
  readonly #store: Store;
  readonly #queues = new Map<number, Promise<unknown>>();

  constructor(root: string, store: Store) {
    this.#root = root;
    this.#store = store;
  }

  /** By present or former name. */
  find(owner: string, name: string): RepositoryRecord | undefined {
    const full = `${owner}/${name}`.toLowerCase();
    const all = this.#store.repositories.all();
    return (
      all.find((one) => sameName(`${one.owner}/${one.name}`, full)) ?? all.find((one) => one.formerNames.includes(full))
    );
  }

  /** By `owner/name`; an owner may be a group of groups. */
  findByPath(path: string): RepositoryRecord | undefined {
    const slash = path.lastIndexOf("/");
    return slash === -1 ? undefined : this.find(path.slice(0, slash), path.slice(slash + 1));
  }

  /** Folders are named by id, so a rename moves nothing. */
  directory(repository: RepositoryRecord): string {
    return join(this.#root, `${repository.id}.git`);
  }

  /** @throws ApiError 422 when the name is taken or not one. */
  async create(wanted: NewRepository): Promise<RepositoryRecord> {
    this.#refuseName(wanted.owner, wanted.name);
    const record = this.#store.repositories.insert({
      owner: wanted.owner,
      name: wanted.name,
      private: wanted.private ?? false,
      defaultBranch: wanted.forkOf?.defaultBranch ?? "main",
      forkOf: wanted.forkOf?.id,
      createdAt: Date.now(),
      formerNames: [],
    });
    await this.ensureOnDisk(record);
    return record;
  }

  /** Safe to repeat: finishes a creation that a kill interrupted. */
  async ensureOnDisk(record: RepositoryRecord): Promise<void> {
    const directory = this.directory(record);
    mkdirSync(directory, { recursive: true });
    if (!existsSync(join(directory, "HEAD"))) {
      await git(directory, ["init", "--quiet", "--bare", `--initial-branch=${record.defaultBranch}`, directory]);
    }
    const source = record.forkOf === undefined ? undefined : this.#store.repositories.get(record.forkOf);
    if (source === undefined || (await listRefs(directory)).size > 0) return;
    await git(directory, [
      "fetch",
      "--quiet",
      this.directory(source),
      "refs/heads/*:refs/heads/*",
      "refs/tags/*:refs/tags/*",
    ]);
  }

  /** @throws ApiError 422 when the new name is taken or not one. */
  rename(record: RepositoryRecord, name: string): RepositoryRecord {
    this.#refuseName(record.owner, name);
    const former = `${record.owner}/${record.name}`.toLowerCase();
    return this.#store.repositories.replace({ ...record, name, formerNames: [...record.formerNames, former] });
  }

  remove(record: RepositoryRecord): void {
    this.#store.repositories.remove(record.id);
    rmSync(this.directory(record), { recursive: true, force: true });
  }

  /** All repositories that share objects on GitHub: a fork, its source and their other forks. */
  network(record: RepositoryRecord): RepositoryRecord[] {
    const root = this.#rootOf(record);
    return this.#store.repositories.all().filter((one) => this.#rootOf(one) === root);
  }

  /** As on GitHub the first branch pushed to an empty repository becomes its default. */
  async settleDefaultBranch(record: RepositoryRecord): Promise<void> {
    const directory = this.directory(record);
    if ((await findBranch(directory, record.defaultBranch)) !== undefined) return;
    const first = [...(await listRefs(directory)).keys()].find((ref) => ref.startsWith("refs/heads/"));
    if (first === undefined) return;
    await git(directory, ["symbolic-ref", "HEAD", first]);
    this.#store.repositories.replace({ ...record, defaultBranch: first.slice("refs/heads/".length) });
  }

  /** Runs work on a repository and its forks after all such work that was asked for before: merges and refreshes never interleave. */
  exclusively<Result>(record: RepositoryRecord, work: () => Promise<Result>): Promise<Result> {
    const root = this.#rootOf(record);
    const before = this.#queues.get(root) ?? Promise.resolve();
    const result = before.then(work, work);
    this.#queues.set(root, result);
    return result;
  }

  #refuseName(owner: string, name: string): void {
    for (const part of [...owner.split("/"), name]) {
      if (!/^(?!\.{1,2}$)[\w.-]{1,100}$/.test(part)) throw custom("Repository", "name", "name is invalid");
    }
    const taken = this.find(owner, name);
    if (taken && sameName(taken.name, name)) throw custom("Repository", "name", "name already exists on this account");
  }

  #rootOf(record: RepositoryRecord): number {
    const parent = record.forkOf === undefined ? undefined : this.#store.repositories.get(record.forkOf);
    return parent === undefined ? record.id : this.#rootOf(parent);
  }
}
