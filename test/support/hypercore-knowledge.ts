import type { Exchange } from "../../src/simulator/hypercore/exchange.ts";

type Json = Readonly<Record<string, unknown>>;

/** A VM as the answers have shown it. */
interface KnownVm {
  state: string;
  tags: readonly string[];
  /** Of its last task, as far as it was seen. */
  taskTag: string;
}

interface KnownTask {
  over: boolean;
  /** What the task will have done to a VM's tags. */
  readonly tags?: { readonly vm: string; readonly tags: readonly string[] };
}

/**
 * What somebody who reads along knows about a cluster: only what was asked and answered, which is all a client can know.
 * A task is over when an answer said so, and a VM is off when an answer showed it off.
 */
export class HypercoreKnowledge {
  readonly #vms = new Map<string, KnownVm>();
  readonly #tasks = new Map<string, KnownTask>();
  readonly #owners = new Map<string, string>();
  readonly #images = new Map<string, string>();

  stateOf(vm: string): string | undefined {
    return this.#vms.get(vm)?.state;
  }

  tagsOf(vm: string): readonly string[] {
    return this.#vms.get(vm)?.tags ?? [];
  }

  /** Name of an image as it was seen last. */
  imageName(uuid: string): string | undefined {
    return this.#images.get(uuid);
  }

  /** The tag of a task on the VM of which no answer has told the end. */
  runningTaskOf(vm: string): string | undefined {
    const tag = this.#vms.get(vm)?.taskTag ?? "";
    return this.#tasks.get(tag)?.over === false ? tag : undefined;
  }

  /** The VMs that a changing call changes; none for images, ISOs and logins. */
  vmsOf({ method, path, body }: Exchange): readonly string[] {
    if (method === "GET") return [];
    const [kind = "", id = "", verb] = partsOf(path);
    const members = isObject(body) ? body : {};
    if (kind === "VirDomain" && id === "action") return actionsOf(body).map(({ vm }) => vm);
    if (kind === "VirDomain") return id === "" ? [] : [id];
    if (kind === "VirtualDisk") return verb === "attach" ? named(members["template"], "virDomainUUID") : [];
    if (!/^VirDomain(BlockDevice|NetDevice|Snapshot)$/.test(kind)) return [];
    if (id === "") return named(members, kind === "VirDomainSnapshot" ? "domainUUID" : "virDomainUUID");
    const owner = this.#owners.get(id);
    return owner === undefined ? [] : [owner];
  }

  learn(exchange: Exchange): void {
    if (exchange.status !== 200) return;
    const answer = parsed(exchange.answer);
    if (exchange.method === "GET") this.#learnRead(exchange.path, answer);
    else if (isObject(answer)) this.#learnChange(exchange, answer);
  }

  #learnRead(path: string, answer: unknown): void {
    const [kind, id = ""] = partsOf(path);
    const items = Array.isArray(answer) ? answer.filter(isObject) : [];
    if (kind === "TaskTag") this.#learnTask(id, items[0]);
    for (const item of items) {
      if (kind === "VirDomain") this.#learnVm(item);
      if (kind === "VirtualDisk") this.#images.set(text(item["uuid"]), text(item["name"]));
      if (kind === "VirDomainSnapshot") this.#owners.set(text(item["uuid"]), text(item["domainUUID"]));
    }
  }

  #learnVm(vm: Json): void {
    const uuid = text(vm["uuid"]);
    const task = isObject(vm["latestTaskTag"]) ? vm["latestTaskTag"] : {};
    const taskTag = text(task["taskTag"]);
    this.#vms.set(uuid, { state: text(vm["state"]), tags: tagsIn(vm["tags"]), taskTag });
    if (taskTag !== "") this.#learnTask(taskTag, task);
    for (const list of [vm["blockDevs"], vm["netDevs"]]) {
      for (const device of Array.isArray(list) ? list.filter(isObject) : [])
        this.#owners.set(text(device["uuid"]), uuid);
    }
  }

  /** A forgotten or unknown tag cannot be waited for: it counts as over. */
  #learnTask(tag: string, task: Json | undefined): void {
    const state = text(task?.["state"]);
    const over = state !== "QUEUED" && state !== "RUNNING";
    const known = this.#tasks.get(tag);
    if (known?.over === false && state === "COMPLETE" && known.tags !== undefined) this.#setTags(known.tags);
    this.#tasks.set(tag, { ...known, over: over || known?.over === true });
  }

  #learnChange(exchange: Exchange, answer: Json): void {
    const taskTag = text(answer["taskTag"]);
    const created = text(answer["createdUUID"]);
    const [kind, id] = partsOf(exchange.path);
    const vms = this.vmsOf(exchange);
    const body = isObject(exchange.body) ? exchange.body : {};
    if (kind === "VirDomain" && created !== "") this.#learnBirth(created, body, vms[0]);
    else if (created !== "" && vms[0] !== undefined) this.#owners.set(created, vms[0]);
    for (const { vm, action } of kind === "VirDomain" && id === "action" ? actionsOf(exchange.body) : [])
      if (action === "START") this.#update(vm, { state: "STARTING" });
    if (taskTag === "") return;
    const patched = kind === "VirDomain" && exchange.method === "PATCH" && "tags" in body;
    const tags = patched ? { tags: { vm: vms[0] ?? "", tags: tagsIn(body["tags"]) } } : {};
    this.#tasks.set(taskTag, { over: false, ...tags });
    for (const vm of created !== "" && kind === "VirDomain" ? [...vms, created] : vms) this.#update(vm, { taskTag });
  }

  /** A new VM is off, and carries the tags of its body, or those of what it is a clone of. */
  #learnBirth(uuid: string, body: Json, source: string | undefined): void {
    const given = isObject(body["dom"]) ? body["dom"] : isObject(body["template"]) ? body["template"] : {};
    const tags = given["tags"] === undefined && source !== undefined ? this.tagsOf(source) : tagsIn(given["tags"]);
    this.#vms.set(uuid, { state: "SHUTOFF", tags, taskTag: "" });
  }

  #setTags({ vm, tags }: { readonly vm: string; readonly tags: readonly string[] }): void {
    this.#update(vm, { tags });
  }

  #update(vm: string, change: Partial<KnownVm>): void {
    const known = this.#vms.get(vm) ?? { state: "", tags: [], taskTag: "" };
    this.#vms.set(vm, { ...known, ...change });
  }
}

/** The parts of a path below `/rest/v1/`. */
export function partsOf(path: string): readonly string[] {
  return path
    .replace(/^\/rest\/v1\//, "")
    .replace(/\/$/, "")
    .split("/");
}

export function actionsOf(body: unknown): readonly { readonly vm: string; readonly action: string }[] {
  const items = Array.isArray(body) ? body.filter(isObject) : [];
  return items.map((item) => ({ vm: text(item["virDomainUUID"]), action: text(item["actionType"]) }));
}

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function named(value: unknown, member: string): readonly string[] {
  const id = isObject(value) ? text(value[member]) : "";
  return id === "" ? [] : [id];
}

function tagsIn(value: unknown): readonly string[] {
  return text(value)
    .split(",")
    .filter((tag) => tag !== "");
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function parsed(answer: string): unknown {
  try {
    return JSON.parse(answer) as unknown;
  } catch {
    return undefined;
  }
}
