import { describe, expect, it } from "vitest";
import type { Exchange } from "../../src/simulator/hypercore/exchange.ts";
import { accepted, exchangeOf, uuidOf } from "../support/hypercore-exchange.ts";
import { HypercoreKnowledge } from "../support/hypercore-knowledge.ts";
import { rules } from "../support/hypercore-rules.ts";

const vm = uuidOf("a");
const disk = uuidOf("d");
const nic = uuidOf("e");
const image = uuidOf("1");

/** A VM as a list shows it; `state` and `tags` are what rules look at. */
function vmRead(members: Readonly<Record<string, unknown>> = {}): Exchange {
  const seen = { uuid: vm, state: "SHUTOFF", tags: "", blockDevs: [{ uuid: disk }], netDevs: [{ uuid: nic }] };
  return exchangeOf(`GET VirDomain/${vm}`, undefined, [{ ...seen, ...members }]);
}
const act = (actionType: string): Exchange =>
  exchangeOf("POST VirDomain/action", [{ virDomainUUID: vm, actionType }], accepted("7"));
const patch = (members: object): Exchange => exchangeOf(`PATCH VirDomain/${vm}`, members, accepted("7"));
const task = (state: string, tag = "7"): Exchange =>
  exchangeOf(`GET TaskTag/${tag}`, undefined, [{ taskTag: tag, state }]);
const imageRead = (name: string): Exchange => exchangeOf("GET VirtualDisk", undefined, [{ uuid: image, name }]);
const attach = (options?: object): Exchange =>
  exchangeOf(
    `POST VirtualDisk/${image}/attach`,
    { options, template: { virDomainUUID: vm, type: "VIRTIO_DISK", capacity: 0 } },
    accepted("7"),
  );
const create = (options: object, dom: object = {}): Exchange =>
  exchangeOf("POST VirDomain", { dom, options }, accepted("7", vm));
const remove = exchangeOf(`DELETE VirDomain/${vm}`, undefined, accepted("8"));
const patchDisk = (members: object): Exchange =>
  exchangeOf(`PATCH VirDomainBlockDevice/${disk}`, members, accepted("8"));
const patchNic = (members: object): Exchange => exchangeOf(`PATCH VirDomainNetDevice/${nic}`, members, accepted("8"));
const snapshot = (members: object): Exchange =>
  exchangeOf("POST VirDomainSnapshot", { domainUUID: vm, ...members }, accepted("8"));

/** Exchanges of which the last one breaks the rule, or keeps it. */
interface Row {
  readonly broken: readonly (readonly Exchange[])[];
  readonly kept: readonly (readonly Exchange[])[];
}

const running = vmRead({ state: "RUNNING" });
const building = vmRead({ tags: "web,kg-building" });

const table: Readonly<Record<string, Row>> = {
  "one task at a time on a VM, its disks and NICs included": {
    broken: [
      [vmRead(), patch({}), patch({})],
      [vmRead(), patch({}), task("QUEUED"), remove],
      [vmRead(), patch({}), task("RUNNING"), act("START")],
      [vmRead(), patch({}), patchDisk({ capacity: 1 })],
      [vmRead(), patch({}), patchNic({ connected: false })],
      [vmRead(), patch({}), attach()],
      [vmRead(), patch({}), snapshot({})],
      [create({}), patch({})],
      [vmRead({ latestTaskTag: { taskTag: "3", state: "RUNNING" } }), patch({})],
      [vmRead(), exchangeOf(`POST VirDomain/${vm}/clone`, {}, accepted("7", uuidOf("c"))), patch({})],
    ],
    kept: [
      [vmRead(), patch({})],
      [vmRead(), patch({}), task("COMPLETE"), patch({})],
      [vmRead(), patch({}), task("ERROR"), patchDisk({})],
      [vmRead(), patch({}), exchangeOf("GET TaskTag/7"), patch({})],
      [vmRead(), patch({}), vmRead({ latestTaskTag: { taskTag: "7", state: "COMPLETE" } }), patch({})],
      [vmRead(), act("SHUTDOWN"), exchangeOf(`PATCH VirDomain/${uuidOf("b")}`, {}, accepted("8"))],
      [vmRead(), { ...act("SHUTDOWN"), answer: JSON.stringify(accepted("")) }, act("SHUTDOWN")],
    ],
  },
  "a VM under construction is not started": {
    broken: [
      [building, act("START")],
      [create({}, { tags: "kg-building" }), act("START")],
      [vmRead(), patch({ tags: "kg-building" }), task("COMPLETE"), act("START")],
      [building, patch({ tags: "" }), task("ERROR"), act("START")],
      [building, exchangeOf(`POST VirDomain/${vm}/clone`, {}, accepted("7", uuidOf("c"))), actOn(uuidOf("c"), "START")],
    ],
    kept: [
      [building, patch({ tags: "web" }), task("COMPLETE"), act("START")],
      [building, act("STOP")],
      [vmRead(), act("START")],
    ],
  },
  "only a VM that was seen off is deleted": {
    broken: [
      [running, remove],
      [vmRead({ state: "SHUTDOWN" }), remove],
      [vmRead(), act("START"), remove],
      [running, act("STOP"), remove],
      [remove],
    ],
    kept: [
      [vmRead(), remove],
      [vmRead({ state: "CRASHED" }), remove],
      [create({}), remove],
      [running, exchangeOf(`DELETE VirDomainBlockDevice/${disk}`)],
    ],
  },
  "what needs a VM off is not changed while it runs": {
    broken: [
      ...["mem", "numVCPU", "bootDevices", "machineType"].map((member) => [running, patch({ [member]: 1 })]),
      [vmRead(), act("START"), patch({ mem: 1 })],
      [running, patchDisk({ type: "IDE_DISK" })],
      [running, patchNic({ vlan: 4 })],
      [running, exchangeOf("POST VirDomainNetDevice", { virDomainUUID: vm })],
      [running, exchangeOf(`DELETE VirDomainNetDevice/${nic}`)],
    ],
    kept: [
      [running, patch({ tags: "", name: "", description: "" })],
      [running, patchDisk({ capacity: 1 })],
      [running, patchNic({ connected: false })],
      [vmRead(), patch({ mem: 1, bootDevices: [] })],
      [vmRead(), exchangeOf("POST VirDomainNetDevice", { virDomainUUID: vm })],
    ],
  },
  "only a finished image is attached": {
    broken: [[imageRead("uploading-a.img"), attach()], [imageRead("converting-a.img"), attach()], [attach()]],
    kept: [
      [imageRead("a.img"), attach()],
      [imageRead("converting-a.img"), imageRead("a.img"), attach()],
    ],
  },
  "the identity of a copied disk is kept": {
    broken: [[attach()], [attach({})], [attach({ regenerateDiskID: true })]],
    kept: [[attach({ regenerateDiskID: false })]],
  },
  "guest tools are asked for or declined, never left to the default": {
    broken: [[create({})], [create({ attachGuestToolsISO: "no" })]],
    kept: [[create({ attachGuestToolsISO: false })], [create({ attachGuestToolsISO: true })]],
  },
  "a CD is changed by path and name together": {
    broken: [[patchDisk({ path: "scribe/x" })], [patchDisk({ name: "x.iso" })]],
    kept: [[patchDisk({ path: "", name: "" })], [patchDisk({ capacity: 1 })]],
  },
  "snapshots are not replicated": {
    broken: [[snapshot({})], [snapshot({ replication: true })]],
    kept: [[snapshot({ replication: false })]],
  },
  "lists are filtered at home": {
    broken: [[exchangeOf(`GET VirDomainBlockDevice?virDomainUUID=${vm}`)]],
    kept: [[exchangeOf("GET VirDomainBlockDevice")]],
  },
  "memory comes in whole MiB": {
    broken: [[create({}, { mem: 2 ** 30 + 1 })], [patch({ mem: 1_000_000_000 })]],
    kept: [[create({}, { mem: 2 ** 30 })], [patch({ mem: 2 ** 31 })], [patch({ numVCPU: 3 })]],
  },
};

function actOn(uuid: string, actionType: string): Exchange {
  return exchangeOf("POST VirDomain/action", [{ virDomainUUID: uuid, actionType }], accepted("9"));
}

/** What a rule says of the last of these exchanges. */
function judge(rule: (typeof rules)[number], exchanges: readonly Exchange[]): string | undefined {
  const known = new HypercoreKnowledge();
  for (const exchange of exchanges.slice(0, -1)) known.learn(exchange);
  const last = exchanges.at(-1);
  if (last === undefined) throw new Error("nothing to judge");
  return rule.broken(last, known);
}

it("has a row for every rule", () => {
  expect(Object.keys(table)).toEqual(rules.map(({ name }) => name));
});

describe.each(rules)("$name", (rule) => {
  const { broken, kept } = table[rule.name] ?? { broken: [], kept: [] };
  const shown = (row: readonly Exchange[]): string =>
    row.map(({ method, path, body }) => `${method} ${path} ${JSON.stringify(body) ?? ""}`).join("; ");

  it("is broken", () => {
    for (const row of broken) expect(judge(rule, row), shown(row)).toBeTypeOf("string");
  });

  it("is kept", () => {
    for (const row of kept) expect(judge(rule, row), shown(row)).toBeUndefined();
  });
});
