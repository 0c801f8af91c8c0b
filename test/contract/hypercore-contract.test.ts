import { describe, expect, it } from "vitest";
import type { Exchange } from "../../src/simulator/hypercore/exchange.ts";
import { MiB } from "../support/desired-vm.ts";
import { HypercoreContract, uncheckedHeader } from "../support/hypercore-contract.ts";
import { HypercoreDescription } from "../support/hypercore-description.ts";
import { accepted, exchangeOf, uuidOf } from "../support/hypercore-exchange.ts";
import { openHypercoreLab } from "../support/hypercore-lab.ts";

const uuid = uuidOf("a");
const ok = accepted("1");
const template = { virDomainUUID: uuid, type: "VIRTIO_DISK", capacity: MiB };
const snapshot = {
  domainUUID: uuid,
  label: "before",
  type: "USER",
  automatedTriggerTimestamp: 0,
  localRetainUntilTimestamp: 0,
  remoteRetainUntilTimestamp: 0,
  blockCountDiffFromSerialNumber: -1,
  replication: false,
};
const { replication: _replication, ...incompleteSnapshot } = snapshot;
const noTools = { attachGuestToolsISO: false };
const upload = (headers: Exchange["headers"], query = "filename=a.img&filesize=9"): Exchange =>
  exchangeOf(`PUT VirtualDisk/upload?${query}`, undefined, ok, {
    bodyBytes: 9,
    headers: { ...exchangeOf("GET VirDomain").headers, ...headers },
  });

function problemsOf(exchange: Exchange, version: string): string[] {
  const contract = new HypercoreContract(version);
  contract.observe(exchange);
  return contract.violations
    .filter(({ rule }) => rule === "request" || rule === "answer")
    .map(({ problem }) => problem);
}

/** What is wrong with each, on 9.6 unless it says otherwise. */
const wrong: readonly (readonly [what: string, exchange: Exchange, problem: string, version?: string])[] = [
  ["an unknown call", exchangeOf("POST VirDomain/migrate", {}), "no such call"],
  ["an unknown method", exchangeOf("PATCH VirtualDisk/x", {}), "no such call"],
  ["a filter", exchangeOf("GET VirDomain?name=web"), '"name" is not allowed'],
  ["a uuid that is none", exchangeOf("GET VirDomain/undefined"), "path parameter uuid"],
  ["no credentials", { ...exchangeOf("GET VirDomain"), headers: {} }, "no credentials"],
  [
    "a body without its type",
    { ...exchangeOf("PATCH VirDomain/" + uuid, {}, ok), headers: upload({}).headers },
    "Type",
  ],
  ["a missing body", exchangeOf("POST VirDomain/action", undefined, ok), "body is missing"],
  ["a body where there is none", exchangeOf(`DELETE VirDomain/${uuid}`, {}, ok), "no body"],
  ["a read-only member", exchangeOf(`PATCH VirDomain/${uuid}`, { uuid }, ok), '"uuid" is not allowed'],
  ["state in a PATCH", exchangeOf(`PATCH VirDomain/${uuid}`, { state: "RUNNING" }, ok), '"state" is not allowed'],
  ["devices in a PATCH", exchangeOf(`PATCH VirDomain/${uuid}`, { blockDevs: [] }, ok), '"blockDevs" is not allowed'],
  ["labels before 9.7", exchangeOf(`PATCH VirDomain/${uuid}`, { labels: {} }, ok), '"labels" is not allowed'],
  ["a bad label", exchangeOf(`PATCH VirDomain/${uuid}`, { labels: { "a b": { value: "" } } }, ok), "pattern", "9.7.4"],
  ["a keyword as machine type", exchangeOf(`PATCH VirDomain/${uuid}`, { machineType: "uefi" }, ok), "/machineType"],
  ["plain user data", exchangeOf(`PATCH VirDomain/${uuid}`, { cloudInitData: { userData: "#x" } }, ok), "/userData"],
  ["an empty tag", exchangeOf(`PATCH VirDomain/${uuid}`, { tags: "a,,b" }, ok), "/tags"],
  ["a VM without options", exchangeOf("POST VirDomain", { dom: {} }, ok), "required property 'options'"],
  ["unknown options", exchangeOf("POST VirDomain", { dom: {}, options: { ...noTools, x: 1 } }, ok), '"x"'],
  [
    "boot devices at birth",
    exchangeOf("POST VirDomain", { dom: { bootDevices: [uuid] }, options: noTools }, ok),
    "NOT",
  ],
  [
    "a disk without capacity",
    exchangeOf("POST VirDomain", { dom: { blockDevs: [{ type: "NVRAM" }] }, options: noTools }, ok),
    "'capacity'",
  ],
  ["an action alone", exchangeOf("POST VirDomain/action", { virDomainUUID: uuid, actionType: "START" }, ok), "array"],
  ["an action that is none", action("FORCE_STOP"), "must be one of START"],
  ["a migration to nowhere", action("LIVEMIGRATE"), "nodeUUID"],
  [
    "a disk's description",
    exchangeOf("POST VirDomainBlockDevice", { ...template, description: "" }, ok),
    "description",
  ],
  ["a path on a disk", exchangeOf("POST VirDomainBlockDevice", { ...template, path: "scribe/x" }, ok), "anyOf"],
  ["an odd tiering", exchangeOf(`PATCH VirDomainBlockDevice/${uuid}`, { tieringPriorityFactor: 3 }, ok), "one of 0"],
  ["a VLAN too many", exchangeOf(`PATCH VirDomainNetDevice/${uuid}`, { vlan: 4095 }, ok), "<= 4094"],
  [
    "a misspelt template",
    exchangeOf(`POST VirtualDisk/${uuid}/attach`, { template: { ...template, Slot: 0 } }, ok),
    "Slot",
  ],
  ["a snapshot with a member missing", exchangeOf("POST VirDomainSnapshot", incompleteSnapshot, ok), "'replication'"],
  ["an ISO named otherwise", exchangeOf("POST ISO", { name: "a.img", readyForInsert: false }, ok), "/name"],
  ["an ISO's size changed", exchangeOf(`PATCH ISO/${uuid}`, { size: 1 }, ok), '"size" is not allowed'],
  ["chunks", upload({ "transfer-encoding": "chunked", "content-length": "9" }), "in chunks"],
  ["no length", upload({}), "Content-Length is missing"],
  ["another length", upload({ "content-length": "8" }), "9 bytes came"],
  ["another file size", upload({ "content-length": "9" }, "filename=a.img&filesize=8"), "filesize 8"],
  ["an ISO as an image", upload({ "content-length": "9" }, "filename=a.iso&filesize=9"), "filename"],
  ["an answer that is no list", exchangeOf("GET Cluster", undefined, {}), "must be array"],
  ["two of one", exchangeOf(`GET ISO/${uuid}`, undefined, [{}, {}]), "NOT have more than 1"],
  ["a cluster with a name", exchangeOf("GET Cluster", undefined, [{ name: "x" }]), "NOT be valid"],
  ["a short catalogue", exchangeOf("GET Condition", undefined, []), "fewer than 251"],
  ["a task without a state", exchangeOf("GET TaskTag/1", undefined, [{ taskTag: "1" }]), "'state'"],
  ["an answer without a tag", exchangeOf(`DELETE VirDomain/${uuid}`, undefined, {}), "'taskTag'"],
  ["an undescribed status", { ...exchangeOf("GET Node"), status: 418 }, "status 418"],
  ["a 400 in plain text on 9.6", refusal(400, "text/plain", "no"), "text/plain is not described"],
  ["a 404 in JSON", refusal(404, "application/json", '{"error":""}'), "application/json is not described"],
  ["broken JSON", { ...exchangeOf("GET Node"), answer: "[{" }, "not JSON"],
];

function action(actionType: string): Exchange {
  return exchangeOf("POST VirDomain/action", [{ virDomainUUID: uuid, actionType }], ok);
}

function refusal(status: number, answerType: string, answer: string): Exchange {
  return exchangeOf("GET VirDomain", undefined, answer, { status, answerType });
}

describe("the contract", () => {
  for (const [what, exchange, problem, version = "9.6.27"] of wrong) {
    it(`refuses ${what}`, () => {
      expect(problemsOf(exchange, version).join("\n")).toContain(problem);
    });
  }

  const right: readonly (readonly [what: string, exchange: Exchange, version?: string])[] = [
    ["a list of nothing", exchangeOf("GET VirDomain")],
    ["a trailing slash", exchangeOf("GET VirDomain/")],
    ["a change of nothing", exchangeOf(`PATCH VirDomain/${uuid}`, {}, ok)],
    ["labels from 9.7", exchangeOf(`PATCH VirDomain/${uuid}`, { labels: { a: { value: "eA==" } } }, ok), "9.7.1"],
    [
      "a migration",
      exchangeOf("POST VirDomain/action", [{ virDomainUUID: uuid, actionType: "LIVEMIGRATE", nodeUUID: uuid }], ok),
    ],
    [
      "a CD with its path",
      exchangeOf("POST VirDomainBlockDevice", { ...template, type: "IDE_CDROM", path: "scribe/x" }, ok),
    ],
    ["a whole snapshot", exchangeOf("POST VirDomainSnapshot", snapshot, ok)],
    ["an exact upload", upload({ "content-length": "9" })],
    ["a session", { ...exchangeOf("GET ISO"), headers: { cookie: "a=b; sessionID=x" } }],
    [
      "a status without credentials",
      {
        ...exchangeOf("GET /update/update_status.json", undefined, { prepareStatus: { state: "COMPLETE" } }),
        headers: {},
      },
    ],
    ["a 400 in plain text on 9.7", refusal(400, "text/plain", "no"), "9.7.0"],
    ["a page", refusal(502, "text/html", "<html>")],
    ["no answer", { ...exchangeOf("GET Node"), status: 0, answerType: "", answer: "", delivered: false }],
  ];
  for (const [what, exchange, version = "9.6.27"] of right) {
    it(`takes ${what}`, () => {
      expect(problemsOf(exchange, version)).toEqual([]);
    });
  }

  it("names the request and masks what is secret in it", () => {
    const contract = new HypercoreContract("9.6");
    const cloudInitData = { userData: "c2VjcmV0", metaData: "c2VjcmV0" };
    contract.observe(exchangeOf(`PATCH VirDomain/${uuid}`, { uuid, cloudInitData, name: "web" }, ok));
    contract.observe(exchangeOf("POST login", { username: "gitops", password: "planted", x: 1 }, { sessionID: "s" }));
    expect(() => contract.requireKept()).toThrow("broken 2 times");
    const said = JSON.stringify(contract.violations);
    expect(said).toContain(`PATCH /rest/v1/VirDomain/${uuid}`);
    expect(said).toContain("web");
    for (const secret of ["c2VjcmV0", "planted", "Basic"]) expect(said).not.toContain(secret);
  });

  it("lets a request be wrong on purpose, and still learns from it", () => {
    const contract = new HypercoreContract("9.6");
    const wrongOnPurpose = exchangeOf(`PATCH VirDomain/${uuid}`, { description: "" }, ok);
    const headers = { ...wrongOnPurpose.headers, [uncheckedHeader]: "on purpose" };
    contract.observe({ ...wrongOnPurpose, body: { uuid }, headers });
    expect(contract.violations).toEqual([]);
    contract.observe(wrongOnPurpose);
    expect(contract.violations.map(({ rule }) => rule)).toEqual([
      "one task at a time on a VM, its disks and NICs included",
    ]);
  });
});

describe("the description", () => {
  it("compiles, every request and answer of it, for clusters before and after 9.7", () => {
    for (const version of ["9.6.27", "9.8.2"]) {
      const description = new HypercoreDescription(version);
      expect(description.calls.length).toBeGreaterThan(35);
      const schemas = description.schemas();
      expect(schemas.length).toBeGreaterThan(100);
      for (const schema of schemas) expect(() => description.problems(schema, null)).not.toThrow();
    }
  });

  it("prefers a path without open parts", () => {
    const description = new HypercoreDescription("9.6");
    expect(description.find("POST", "/rest/v1/VirDomain/action")?.name).toBe("POST /rest/v1/VirDomain/action");
    expect(description.find("PUT", "/rest/v1/VirtualDisk/upload")?.name).toBe("PUT /rest/v1/VirtualDisk/upload");
  });
});

describe("the lab", () => {
  it("fails at its end when an exchange broke the contract", async () => {
    const lab = await openHypercoreLab();
    await expect(lab.admin("GET", "VirDomain?name=web")).rejects.toThrow("400");
    await expect(lab[Symbol.asyncDispose]()).rejects.toThrow("lists are filtered at home");
  });

  it("does not mind a request that is wrong on purpose", async () => {
    await using lab = await openHypercoreLab();
    await expect(lab.admin("GET", "VirDomain?name=web", undefined, "unchecked")).rejects.toThrow("400");
  });
});
