import type { Exchange } from "../../src/simulator/hypercore/exchange.ts";
import { actionsOf, type HypercoreKnowledge, isObject, partsOf } from "./hypercore-knowledge.ts";

/** What no schema can say about a call: it depends on what was answered before, or it is our own choice among what is allowed. */
export interface Rule {
  readonly name: string;
  /** What is wrong with the call, given what a client can know before it. */
  readonly broken: (exchange: Exchange, known: HypercoreKnowledge) => string | undefined;
}

const off = new Set(["SHUTOFF", "CRASHED"]);

/** All of them; test/contract/hypercore-rules.test.ts shows each one broken and kept. */
export const rules: readonly Rule[] = [
  {
    name: "one task at a time on a VM, its disks and NICs included",
    broken: (exchange, known) => {
      const busy = known.vmsOf(exchange).find((vm) => known.runningTaskOf(vm) !== undefined);
      return busy === undefined ? undefined : `task ${known.runningTaskOf(busy)} of VM ${busy} is not known to be over`;
    },
  },
  {
    name: "a VM under construction is not started",
    broken: (exchange, known) =>
      actionsIn(exchange)
        .filter(({ vm, action }) => action === "START" && known.tagsOf(vm).includes("kg-building"))
        .map(({ vm }) => `VM ${vm} carries kg-building`)[0],
  },
  {
    name: "only a VM that was seen off is deleted",
    broken: ({ method, path }, known) => {
      const [kind, vm = ""] = partsOf(path);
      if (method !== "DELETE" || kind !== "VirDomain" || off.has(known.stateOf(vm) ?? "")) return undefined;
      return `VM ${vm} was last seen ${known.stateOf(vm) ?? "never"}`;
    },
  },
  {
    name: "what needs a VM off is not changed while it runs",
    broken: (exchange, known) => {
      const on = known.vmsOf(exchange).find((vm) => !off.has(known.stateOf(vm) ?? "SHUTOFF"));
      const what = on === undefined ? undefined : needsOff(exchange);
      return what === undefined ? undefined : `${what} while VM ${on} was last seen ${known.stateOf(on ?? "")}`;
    },
  },
  {
    name: "only a finished image is attached",
    broken: ({ path }, known) => {
      const [kind, image = "", verb] = partsOf(path);
      if (kind !== "VirtualDisk" || verb !== "attach") return undefined;
      const name = known.imageName(image);
      if (name === undefined) return `image ${image} was never looked at`;
      return /^(uploading|converting)-/.test(name) ? `image ${image} was last seen as ${name}` : undefined;
    },
  },
  {
    name: "the identity of a copied disk is kept",
    broken: ({ path, body }) => {
      if (partsOf(path)[2] !== "attach" || body === undefined) return undefined;
      const kept = memberOf(memberOf(body, "options"), "regenerateDiskID") === false;
      return kept ? undefined : "options.regenerateDiskID is not false";
    },
  },
  {
    name: "guest tools are asked for or declined, never left to the default",
    broken: ({ method, path, body }) => {
      if (method !== "POST" || !/\/VirDomain\/?$/.test(path) || body === undefined) return undefined;
      const asked = typeof memberOf(memberOf(body, "options"), "attachGuestToolsISO") === "boolean";
      return asked ? undefined : "options.attachGuestToolsISO is missing";
    },
  },
  {
    name: "a CD is changed by path and name together",
    broken: ({ method, path, body }) => {
      const medium = method === "PATCH" && partsOf(path)[0] === "VirDomainBlockDevice" && isObject(body);
      if (!medium || "path" in body === "name" in body) return undefined;
      return `only ${"path" in body ? "path" : "name"} is sent`;
    },
  },
  {
    name: "snapshots are not replicated",
    broken: ({ method, path, body }) => {
      const snapshot = method === "POST" && partsOf(path)[0] === "VirDomainSnapshot" && body !== undefined;
      return snapshot && memberOf(body, "replication") !== false ? "replication is not false" : undefined;
    },
  },
  {
    name: "lists are filtered at home",
    broken: ({ method, query }) =>
      method === "GET" && query.length > 0 ? `it asks for ${query.map(([name]) => name).join(", ")}` : undefined,
  },
  {
    name: "memory comes in whole MiB",
    broken: ({ method, body }) => {
      const memory = memberOf(method === "POST" ? memberOf(body, "dom") : body, "mem");
      return typeof memory === "number" && memory % 2 ** 20 !== 0 ? `mem is ${memory}` : undefined;
    },
  },
];

/** What of a call is possible on a VM that is off only, where readings differ by the stricter one. */
function needsOff({ method, path, body }: Exchange): string | undefined {
  const [kind] = partsOf(path);
  const members = Object.keys(isObject(body) ? body : {});
  if (kind === "VirDomain" && method === "PATCH")
    return members.find((member) => ["mem", "numVCPU", "bootDevices", "machineType"].includes(member));
  if (kind === "VirDomainBlockDevice" && method === "PATCH") return members.find((member) => member === "type");
  if (kind !== "VirDomainNetDevice") return undefined;
  if (method !== "PATCH") return "a NIC comes or goes";
  return members.find((member) => member !== "connected");
}

function actionsIn({ path, body }: Exchange): ReturnType<typeof actionsOf> {
  return /\/VirDomain\/action\/?$/.test(path) ? actionsOf(body) : [];
}

function memberOf(value: unknown, member: string): unknown {
  return isObject(value) ? value[member] : undefined;
}
