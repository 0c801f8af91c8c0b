import { readFileSync, readdirSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import type { ApplicationDocument, ClusterGroupDocument, DeploymentDocument } from "./document.ts";
import { type ParsedFile, parseManifest, refuseEntry } from "./parse.ts";
import { formatProblem } from "./problem.ts";

const fixtures = new URL("../../test/fixtures/", import.meta.url);
const readExample = (name: string): Uint8Array =>
  readFileSync(new URL(name, new URL("../../config/examples/", import.meta.url)));
const readFixture = (name: string): Uint8Array => readFileSync(new URL(name, fixtures));

type Tree = Record<string, unknown>;

/** A small sound application, with changes. */
function application(
  changes: { metadata?: Tree; spec?: Tree; vm?: Tree; asset?: Tree; resource?: Tree; root?: Tree } = {},
): string {
  const vm = {
    cpu: 1,
    memory: "1 GiB",
    storage_devices: [{ name: "system", type: "virtio_disk", source: "base", boot: 1 }],
    network_devices: [{ name: "lan", type: "virtio" }],
    ...changes.vm,
  };
  return stringify({
    type: "Application",
    version: "1.0.0",
    metadata: { name: "shop", ...changes.metadata },
    spec: {
      assets: [
        { name: "base", type: "virtual_disk", format: "raw", url: "https://example.com/base.img", ...changes.asset },
      ],
      resources: [{ type: "virdomain", name: "web", spec: vm, ...changes.resource }],
      ...changes.spec,
    },
    ...changes.root,
  });
}

function group(spec: Tree): string {
  return stringify({
    type: "ClusterGroup",
    version: "1.0.0",
    metadata: { name: "east" },
    spec: { clusters: ["a"], ...spec },
  });
}

function deployment(spec: Tree): string {
  const base = { applications: ["shop"], clusterGroups: ["east"] };
  return stringify({
    type: "Deployment",
    version: "1.0.0",
    metadata: { name: "shop-east" },
    spec: { ...base, ...spec },
  });
}

const vmWith = (vm: Tree): string => application({ vm });
const disks = (...storage_devices: Tree[]): string => vmWith({ storage_devices });
const codesOf = (file: ParsedFile): readonly string[] => [...new Set(file.problems.map(({ code }) => code))];

function soleApplication(text: string | Uint8Array): ApplicationDocument {
  const { documents, problems } = parseManifest("a.yaml", text);
  expect(problems.map(formatProblem)).toEqual([]);
  const found = documents.find((document) => document.type === "Application");
  if (found === undefined) throw new Error("no application");
  return found;
}

const soleVm = (vm: Tree): ApplicationDocument["resources"][number] | undefined =>
  soleApplication(vmWith(vm)).resources[0];

it("says a misspelt required key once", () => {
  const messages = (key: string): readonly string[] => {
    const text = `type: Application\nversion: "1"\nmetadata: { ${key}: web }\nspec: { resources: [] }\n`;
    return parseManifest("a.yaml", text).problems.map(({ message }) => message);
  };
  expect(messages("nam")).toContain('unknown key "nam"');
  expect(messages("nam")).not.toContain('"name" is missing');
  expect(messages("title")).toContain('"name" is missing');
});

describe("the sample manifests", () => {
  it.each([
    ["three-tier-webapp.yaml", 5],
    ["mixed-os-environment.yaml", 4],
    ["microservices-stack.yaml", 3],
  ])("%s is accepted as it stands", (name, resources) => {
    expect(soleApplication(readExample(name)).resources).toHaveLength(resources);
  });

  it.each(readdirSync(new URL("manifests/", fixtures)))("manifests/%s is accepted as it stands", (name) => {
    const { problems } = parseManifest(name, readFixture(`manifests/${name}`));
    expect(problems.map(formatProblem)).toEqual([]);
  });

  it("reads the three tiers exactly", () => {
    const [balancer] = soleApplication(readExample("three-tier-webapp.yaml")).resources;
    expect(balancer).toMatchObject({
      resource: "web-tier-lb",
      cpu: 2,
      memoryBytes: 2 ** 31,
      machineType: "uefi",
      state: "running",
      tags: ["tier:web", "role:load-balancer", "nginx"],
      disks: [
        { name: "web-lb-disk", type: "virtio_disk", source: "ubuntu-web", boot: 1, capacityBytes: 32_212_254_720 },
      ],
      nics: [{ name: "public-net" }, { name: "web-net", vlan: undefined }],
      position: { file: "a.yaml", line: 28, column: 7 },
    });
  });

  it("reads anchors, merge keys, variables and the fleet's documents", () => {
    const { documents } = parseManifest("p.yaml", readFixture("manifests/patterns-naming.yaml"));
    const [shop, stores, everywhere] = documents as [ApplicationDocument, ClusterGroupDocument, DeploymentDocument];
    expect(shop.assets.map(({ type, format }) => [type, format])).toEqual([
      ["iso", "iso"],
      ["virtual_disk", "qcow2"],
    ]);
    expect(shop.resources[0]).toMatchObject({
      resource: "app-tier-{{ instance_id }}",
      os: "windows",
      nics: [{ vlan: 20 }],
      disks: [{}, { type: "ide_cdrom" }],
    });
    expect(shop.resources[1]).toMatchObject({
      cpu: 0,
      state: "shutoff",
      machineType: "tpm",
      memoryBytes: 4000 * 2 ** 20,
    });
    expect(stores).toMatchObject({ name: "stores", clusters: [{ name: "store-1*" }, { label: "region=east" }] });
    expect(everywhere).toMatchObject({
      variables: { tier_name: "application", role_name: "7" },
      instances: { "app-tier": 3 },
      readiness: { guestAgent: true, cloudInit: false, tcp: 22, http: undefined, timeoutMs: 600_000 },
      rollout: { canary: ["store-101"], batch: { percent: 10 }, pauseMs: 300_000, stopOnFailure: true },
      policy: {
        drift: "report",
        power: "initial",
        quarantineMs: 604_800_000,
        deletionBudget: { count: 5, percent: 20 },
        shutdownGraceMs: 120_000,
        forceShutdown: false,
        snapshots: { before: ["rebuild", "data-loss"], keepMs: 1_209_600_000 },
      },
    });
  });
});

describe("policy.snapshots", () => {
  const week = 7 * 86_400_000;
  it.each([
    ["before everything, kept a week, when nothing is said", {}, ["reboot", "rebuild", "data-loss"], week],
    [
      "before everything when only the time is said",
      { snapshots: { keep: "2d" } },
      ["reboot", "rebuild", "data-loss"],
      2 * 86_400_000,
    ],
    ["before what is named", { snapshots: { before: ["data-loss"] } }, ["data-loss"], week],
    ["never, when the list is empty", { snapshots: { before: [] } }, [], week],
  ])("takes snapshots %s", (_title, policy, before, keepMs) => {
    const { documents, problems } = parseManifest("a.yaml", deployment({ policy }));
    expect(problems.map(formatProblem)).toEqual([]);
    expect((documents[0] as DeploymentDocument).policy.snapshots).toEqual({ before, keepMs });
  });
});

describe("the dialect", () => {
  it.each([
    [4294967296, 2 ** 32],
    ["4294967296", 2 ** 32],
    ["4 GiB", 2 ** 32],
    ["4000MiB", 4000 * 2 ** 20],
    ["4 GB", 4e9],
  ])("takes memory %j", (memory, memoryBytes) => {
    expect(soleVm({ memory })).toMatchObject({ memoryBytes });
  });

  it.each([
    [50_000_000_000, 50e9],
    ["50 GB", 50e9],
    ["100GiB", 100 * 2 ** 30],
    ["3 TiB", 3 * 2 ** 40],
  ])("takes capacity %j", (capacity, capacityBytes) => {
    expect(soleVm({ storage_devices: [{ name: "d", capacity }] })).toMatchObject({
      disks: [{ type: "virtio_disk", capacityBytes }],
    });
  });

  it.each([[1], ["1"], ["1.0"], ["1.0.0"]])("takes version %j", (version) => {
    expect(soleApplication(application({ root: { version } })).name).toBe("shop");
  });

  it("fills in what is left out", () => {
    const found = soleVm({ storage_devices: [{ name: "d", source: "base" }], network_devices: [{ name: "n" }] });
    expect(found).toMatchObject({
      description: "",
      os: undefined,
      machineType: "bios",
      state: "running",
      tags: [],
      cloudInit: undefined,
    });
    expect(found).toMatchObject({
      disks: [{ type: "virtio_disk", capacityBytes: undefined, boot: undefined }],
      nics: [{ type: "virtio", vlan: undefined }],
    });
  });

  it("takes empty lists and texts for nothing", () => {
    const found = soleVm({
      storage_devices: null,
      network_devices: null,
      tags: null,
      description: null,
      cloud_init_data: { user_data: "", meta_data: null },
    });
    expect(found).toMatchObject({ disks: [], nics: [], tags: [], description: "", cloudInit: undefined });
  });

  it("keeps variables with their place", () => {
    const text = application({
      vm: { memory: "{{ memory }}", cpu: "{{cpus}}" },
      resource: { name: "web on {{clusterName}}" },
    });
    expect(soleApplication(text).resources[0]).toMatchObject({
      resource: "web on {{ clusterName }}",
      memoryBytes: { template: "{{ memory }}", path: "spec.resources[0].spec.memory", position: { line: 16 } },
      cpu: { template: "{{cpus}}" },
    });
  });

  it("accepts plain http only where it is allowed", () => {
    const text = application({ asset: { url: "http://mirror.local/base.img" } });
    expect(parseManifest("a.yaml", text, { allowHttp: true }).problems).toEqual([]);
    expect(codesOf(parseManifest("a.yaml", text))).toEqual(["insecure-url"]);
  });

  it.each([
    ["#!/bin/sh\necho hi"],
    ["## template: jinja\n#cloud-config\nruncmd: [echo {{ ds.region }}]"],
    ["Content-Type: multipart/mixed; boundary=x\n"],
    ["#include\nhttps://example.com/more"],
    ["{{ whole_user_data }}"],
    ["#cloud-config\n"],
    ["#ps1_sysnative\nGet-Date"],
    ["#cloud-config\nhostname: web-{{ instance_id }}\n"],
  ])("accepts user_data %j", (user_data) => {
    expect(soleVm({ cloud_init_data: { user_data } })?.cloudInit).toBeDefined();
  });

  it("says nothing changed when only the writing changed", () => {
    const values = {
      cpu: 2,
      memory: "2 GiB",
      tags: ["a", "b"],
      description: "x",
      cloud_init_data: { user_data: "#cloud-config\nruncmd: []\n" },
    };
    const plain = withoutPlaces(soleVm(values));
    fc.assert(
      fc.property(
        fc.shuffledSubarray(Object.keys(values), { minLength: 5 }),
        fc.constantFrom("2 GiB", "2GiB", 2147483648, "2147483648", "2048 MiB"),
        fc.constantFrom("", "  ", "\n\n"),
        (order, memory, tail) => {
          const written: Tree = {
            ...values,
            memory,
            description: `x${tail}`,
            cloud_init_data: { user_data: `${values.cloud_init_data.user_data}${tail}` },
          };
          const shuffled = Object.fromEntries(order.map((key) => [key, written[key]]));
          expect(withoutPlaces(soleVm(shuffled))).toEqual(plain);
        },
      ),
      { numRuns: 30 },
    );
  });

  it("reads Windows line ends and a byte order mark like any other text", () => {
    const text = application({ vm: { description: "one\ntwo" } });
    expect(soleApplication(`\uFEFF${text.replaceAll("\n", "\r\n")}`)).toEqual(soleApplication(text));
  });
});

function withoutPlaces(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (key, member: unknown) => (key === "position" ? undefined : member)));
}

describe("problems", () => {
  const cases: readonly (readonly [code: string, text: string, path: string, words: string])[] = [
    ["unknown-type", "type: Aplication\nversion: 1", "type", 'did you mean "Application"?'],
    ["unknown-type", "kind: Pod", "", "Application, ClusterGroup, Deployment"],
    ["unknown-type", "just text", "", "begin it with"],
    ["unknown-version", application({ root: { version: "2.0.0" } }), "version", "1.0.0"],
    ["unknown-key", vmWith({ memroy: 5 }), "spec.resources[0].spec.memroy", 'did you mean "memory"?'],
    [
      "unknown-key",
      vmWith({ machineType: "uefi" }),
      "spec.resources[0].spec.machineType",
      'did you mean "machine_type"?',
    ],
    [
      "unknown-key",
      application({ metadata: { annotations: {} } }),
      "metadata.annotations",
      "known keys: name, description",
    ],
    ["missing-key", application({ spec: { resources: [] } }), "spec.resources", "empty"],
    ["missing-key", disks({ name: "data" }), "spec.resources[0].spec.storage_devices[0]", "capacity"],
    ["missing-key", vmWith({ memory: undefined }), "spec.resources[0].spec", '"memory" is missing (add memory: 4 GiB)'],
    ["wrong-type", vmWith({ tags: "web" }), "spec.resources[0].spec.tags", "must be a list, is text"],
    ["wrong-type", vmWith({ tags: [2024] }), "spec.resources[0].spec.tags[0]", 'put it in quotes: "2024"'],
    ["unknown-value", vmWith({ machine_type: "efi" }), "spec.resources[0].spec.machine_type", 'did you mean "uefi"?'],
    [
      "unknown-value",
      application({ metadata: { lifecycle: "test-only" } }),
      "metadata.lifecycle",
      'did you mean "testonly"?',
    ],
    [
      "out-of-range",
      vmWith({ network_devices: [{ name: "n", vlan: 5000 }] }),
      "spec.resources[0].spec.network_devices[0].vlan",
      "0 to 4094",
    ],
    ["out-of-range", disks({ name: "d", capacity: 0 }), "spec.resources[0].spec.storage_devices[0].capacity", "0"],
    ["out-of-range", deployment({ rollout: { batch: "200%" } }), "spec.rollout.batch", "100%"],
    ["bad-format", deployment({ rollout: { batch: "0%" } }), "spec.rollout.batch", "10%"],
    ["out-of-range", deployment({ rollout: { batch: 0 } }), "spec.rollout.batch", "1"],
    ["invalid-duration", deployment({ rollout: { pause: "soon" } }), "spec.rollout.pause", "soon"],
    ["out-of-range", deployment({ rollout: { pause: "90d" } }), "spec.rollout.pause", "30 days"],
    ["wrong-type", deployment({ rollout: { canary: { name: "x" } } }), "spec.rollout.canary", "list"],
    ["wrong-type", deployment({ rollout: { stopOnFailure: "no" } }), "spec.rollout.stopOnFailure", "true or false"],
    ["bad-format", deployment({ readiness: { http: "healthz" } }), "spec.readiness.http", ":8080/healthz"],
    ["bad-format", group({ clusters: [{ label: "east" }] }), "spec.clusters[0].label", "region=east"],
    ["invalid-name", application({ metadata: { name: "x".repeat(64) } }), "metadata.name", "64 characters"],
    ["invalid-name", application({ metadata: { name: "a/b" } }), "metadata.name", "/"],
    ["invalid-name", application({ resource: { name: "a\nb" } }), "spec.resources[0].name", "control character"],
    ["invalid-name", deployment({ variables: { "a b": 1 } }), "spec.variables.a b", "cannot be used"],
    [
      "invalid-quantity",
      vmWith({ memory: "4 Gb" }),
      "spec.resources[0].spec.memory",
      "did you mean 4 GB (10^9) or 4 GiB (2^30)?",
    ],
    ["invalid-duration", deployment({ policy: { quarantine: "14" } }), "spec.policy.quarantine", "14d"],
    [
      "invalid-duration",
      deployment({ policy: { snapshots: { keep: "7 days" } } }),
      "spec.policy.snapshots.keep",
      "14d",
    ],
    [
      "out-of-range",
      deployment({ policy: { snapshots: { keep: "30m" } } }),
      "spec.policy.snapshots.keep",
      "before: []",
    ],
    [
      "unknown-value",
      deployment({ policy: { snapshots: { before: ["reboot", "dataloss"] } } }),
      "spec.policy.snapshots.before[1]",
      'did you mean "data-loss"?',
    ],
    ["wrong-type", deployment({ policy: { snapshots: { before: null } } }), "spec.policy.snapshots.before", "a list"],
    ["unknown-key", deployment({ policy: { snapshots: { kept: "7d" } } }), "spec.policy.snapshots.kept", "keep"],
    ["invalid-number", vmWith({ cpu: "two" }), "spec.resources[0].spec.cpu", "0 to 1024"],
    ["invalid-template", application({ metadata: { name: "shop-{{ clusterName }}" } }), "metadata.name", "variable"],
    [
      "invalid-variable",
      deployment({ variables: { clusterName: "x" } }),
      "spec.variables.clusterName",
      "cluster itself",
    ],
    ["invalid-variable", group({ variables: { a: "{{ b }}" } }), "spec.variables.a", "finished text"],
    ["invalid-url", application({ asset: { url: "file:///etc/passwd" } }), "spec.assets[0].url", "configuration"],
    ["invalid-url", application({ asset: { url: "ftp://example.com/x" } }), "spec.assets[0].url", "https"],
    ["invalid-url", application({ asset: { url: "base.img" } }), "spec.assets[0].url", "scheme"],
    [
      "invalid-url",
      application({ asset: { url: "https://me:hunter2@example.com/x" } }),
      "spec.assets[0].url",
      "credentials",
    ],
    [
      "invalid-url",
      application({ asset: { url: "https://example.com/x#sha256=abc" } }),
      "spec.assets[0].url",
      "64 hex",
    ],
    [
      "invalid-url",
      application({ asset: { url: "https://example.com/x#md5=0123" } }),
      "spec.assets[0].url",
      "#sha256=SHA256SUMS",
    ],
    ["invalid-url", application({ asset: { url: "https://example.com/x#sha256=./" } }), "spec.assets[0].url", "file"],
    [
      "invalid-url",
      application({ asset: { url: "https://example.com/x#sha256=file:///etc/passwd" } }),
      "spec.assets[0].url",
      "checksum file",
    ],
    [
      "invalid-url",
      application({ asset: { url: "https://example.com/x#sha256=https://me:hunter2@example.com/x" } }),
      "spec.assets[0].url",
      "credentials",
    ],
    [
      "insecure-url",
      application({ asset: { url: "https://example.com/x#sha256=http://example.com/SUMS" } }),
      "spec.assets[0].url",
      "checksum file",
    ],
    [
      "insecure-url",
      application({ asset: { url: "http://example.com/{{ release }}.img" } }),
      "spec.assets[0].url",
      "https",
    ],
    ["invalid-tag", vmWith({ tags: ["a,b"] }), "spec.resources[0].spec.tags[0]", "comma"],
    ["invalid-tag", vmWith({ tags: ["kg-id-1"] }), "spec.resources[0].spec.tags[0]", "reserved"],
    [
      "duplicate-name",
      disks({ name: "d", capacity: "1 GB" }, { name: "d", capacity: "1 GB" }),
      "spec.resources[0].spec.storage_devices[1].name",
      "line",
    ],
    [
      "duplicate-boot",
      disks({ name: "a", capacity: "1 GB", boot: 1 }, { name: "b", capacity: "1 GB", boot: 1 }),
      "spec.resources[0].spec.storage_devices[1].boot",
      '"a"',
    ],
    [
      "unknown-asset",
      disks({ name: "d", source: "bas" }),
      "spec.resources[0].spec.storage_devices[0].source",
      'did you mean "base"?',
    ],
    [
      "wrong-medium",
      disks({ name: "d", type: "ide_cdrom", source: "base" }),
      "spec.resources[0].spec.storage_devices[0].source",
      "virtio_disk",
    ],
    [
      "wrong-medium",
      application({ asset: { type: "iso", format: "iso" } }),
      "spec.resources[0].spec.storage_devices[0].source",
      "ide_cdrom",
    ],
    ["memory-too-small", vmWith({ memory: 4096 }), "spec.resources[0].spec.memory", "64 MiB"],
    ["cpu-zero", vmWith({ cpu: 0 }), "spec.resources[0].spec.cpu", "shutoff"],
    [
      "user-data-header",
      vmWith({ cloud_init_data: { user_data: "packages: [nginx]" } }),
      "spec.resources[0].spec.cloud_init_data.user_data",
      "#cloud-config",
    ],
    [
      "user-data-header",
      vmWith({ cloud_init_data: { user_data: "#cloud-cofnig\na: 1" } }),
      "spec.resources[0].spec.cloud_init_data.user_data",
      "begin it with #cloud-config",
    ],
    [
      "user-data-yaml",
      vmWith({ cloud_init_data: { user_data: "#cloud-config\na: [1" } }),
      "spec.resources[0].spec.cloud_init_data.user_data",
      "line 3",
    ],
    [
      "user-data-yaml",
      vmWith({ cloud_init_data: { user_data: "#cloud-config\n- a" } }),
      "spec.resources[0].spec.cloud_init_data.user_data",
      "list",
    ],
    [
      "meta-data-yaml",
      vmWith({ cloud_init_data: { meta_data: "a: b: c" } }),
      "spec.resources[0].spec.cloud_init_data.meta_data",
      "meta_data",
    ],
    ["yaml-syntax", "type: Application\nmetadata: [", "", "end with a ]"],
    ["yaml-syntax", "a: 1\nb: *nothing", "", "nothing"],
    ["yaml-tab", "type: Application\nmetadata:\n\tname: x", "", "spaces"],
    ["yaml-tag", "type: Application\nmetadata: !!js/function 'process.exit()'", "", "tag"],
    ["duplicate-key", "type: Application\ntype: Deployment", "", '"type"'],
    ["unknown-key", `${application()}__proto__: { polluted: true }\n`, "__proto__", "unknown key"],
  ];

  it.each(cases)("%s for %j", (code, text, path, words) => {
    const { problems } = parseManifest("a.yaml", text);
    const found = problems.find((problem) => problem.code === code && problem.path === path);
    expect(found, problems.map((problem) => `${problem.code} ${formatProblem(problem)}`).join("\n")).toBeDefined();
    if (found !== undefined) expect(formatProblem(found)).toContain(words);
    expect(problems.every(({ severity }) => severity === "error")).toBe(true);
  });

  it("points at the line and column of the value, and of the key for an unknown one", () => {
    const text =
      "type: Application\nversion: 1\nmetadata: { name: shop }\nspec:\n  resources:\n    - type: virdomain\n      name: web\n      spec:\n        cpus: 1\n        memory: 4 Gb\n";
    const lines = parseManifest("m/a.yaml", text).problems.map(formatProblem);
    expect(lines).toContain('m/a.yaml:9:9 spec.resources[0].spec.cpus: unknown key "cpus" (did you mean "cpu"?)');
    expect(lines).toContain(
      'm/a.yaml:10:17 spec.resources[0].spec.memory: "Gb" means bits (did you mean 4 GB (10^9) or 4 GiB (2^30)?)',
    );
  });

  it("lists the problems of every document in one pass, and keeps the good ones", () => {
    const text = [
      vmWith({ cpu: 0, memory: "1 G" }),
      application({ metadata: { name: "good" } }),
      application({ metadata: { name: "bad" }, vm: { machine_type: "x" } }),
    ].join("---\n");
    const file = parseManifest("a.yaml", text);
    expect(codesOf(file)).toEqual(["cpu-zero", "invalid-quantity", "unknown-value"]);
    expect(file.problems.map((problem) => problem.application)).toEqual(["shop", "shop", "bad"]);
    expect(file.documents.map((document) => document.name)).toEqual(["good"]);
    expect(file.applicationNames).toEqual(["good", "shop", "bad"]);
    expect(file.readable).toBe(true);
  });

  it("warns instead where template markers of the guest make YAML unreadable", () => {
    const file = parseManifest(
      "a.yaml",
      vmWith({ cloud_init_data: { user_data: "#cloud-config\n{% if a %}\nb: 1\n{% endif %}\n" } }),
    );
    expect(file.problems).toMatchObject([{ code: "user-data-yaml", severity: "warning" }]);
    expect(file.documents).toHaveLength(1);
  });

  it("never repeats credentials of a URL", () => {
    const { problems } = parseManifest("a.yaml", application({ asset: { url: "https://me:hunter2@example.com/x" } }));
    expect(JSON.stringify(problems)).not.toContain("hunter2");
  });

  it("refuses entries that are no files", () => {
    expect(refuseEntry("a.yaml", "symlink")).toMatchObject({ readable: false, problems: [{ code: "not-a-file" }] });
    expect(refuseEntry("a.yaml", "too-large")).toMatchObject({
      readable: false,
      problems: [{ code: "file-too-large" }],
    });
  });
});

describe("what a broken file still tells", () => {
  it.each([
    ["a name before the mistake", "type: Application\nmetadata:\n  name: shop # the shop\nspec: [", ["shop"], true],
    ["a name in braces", "type: Application\nmetadata: { labels: [], name: 'shop' }\nspec: [", ["shop"], true],
    [
      "names of several documents",
      `${application()}---\ntype: Application\nmetadata:\n  name: other\nspec: "\n`,
      ["shop", "other"],
      true,
    ],
    ["no name", "type: Application\nmetadata:\n  nmae: shop\nspec: [", [], false],
    ["no type", "metadata:\n  name: shop\nspec: [", ["shop"], false],
    ["another type", "type: Deployment\nmetadata:\n  name: everything\nspec: [", [], true],
    ["an application without a name", "type: Application\nversion: 1\nmetadata: {}\nspec: {}", [], false],
    ["a mistyped type", "type: Applicaton\nmetadata: { name: shop }", ["shop"], true],
  ])("%s", (_title, text, applicationNames, readable) => {
    expect(parseManifest("a.yaml", text)).toMatchObject({ documents: [], applicationNames, readable });
  });

  it("finds names in UTF-16 and in broken UTF-8", () => {
    const wide = Buffer.from(`\uFEFF${application()}`, "utf16le");
    expect(parseManifest("a.yaml", wide)).toMatchObject({
      problems: [{ code: "file-not-utf8" }],
      applicationNames: ["shop"],
      readable: true,
    });
    const broken = Buffer.concat([Buffer.from(`${application()}# `), Buffer.from([0xe9, 0x0a])]);
    expect(parseManifest("a.yaml", broken)).toMatchObject({
      problems: [{ code: "file-not-utf8", position: { line: 25 } }],
      applicationNames: ["shop"],
    });
  });

  it("knows the applications of a broken Deployment", () => {
    const text =
      "type: Deployment\nmetadata: { name: d }\nspec:\n  applications:\n    - shop\n    - 'bank'\n  clusterGroups: [";
    expect(parseManifest("a.yaml", text).brokenDocuments).toEqual([
      { type: "Deployment", name: "d", applications: ["shop", "bank"] },
    ]);
    expect(parseManifest("a.yaml", deployment({ policy: { drift: "x" } })).brokenDocuments).toEqual([
      { type: "Deployment", name: "shop-east", applications: ["shop"] },
    ]);
  });

  it.each([[""], ["# only a comment\n"], ["---\n---\n"], ["~"], ["\n\n"]])("takes %j for an empty file", (text) => {
    expect(parseManifest("a.yaml", text)).toMatchObject({
      documents: [],
      problems: [],
      applicationNames: [],
      readable: true,
    });
  });
});

const strictCodes = (text: string): readonly string[] => codesOf(parseManifest("a.yaml", text, { strict: true }));

describe("strict", () => {
  const exact = {
    cpu: 1,
    memory: "1073741824",
    machine_type: "uefi",
    state: "running",
    storage_devices: [{ name: "d", type: "virtio_disk", source: "base", capacity: 2 ** 31 }],
  };

  it("accepts what the published schema accepts", () => {
    expect(
      strictCodes(application({ vm: { ...exact, tags: ["web", "a.b_c"] }, resource: { name: "web-{{clusterName}}" } })),
    ).toEqual([]);
  });

  it.each([
    ["strict-format", { vm: { ...exact, tags: ["tier:web"] } }],
    ["strict-format", { vm: exact, metadata: { labels: ["a:b"] } }],
    ["strict-format", { vm: { ...exact, memory: "1 GiB" } }],
    ["strict-format", { vm: exact, resource: { name: "web-{{ clusterName }}" } }],
    ["strict-format", { vm: { ...exact, description: "on {{ clusterName }}" } }],
    ["strict-type", { vm: { ...exact, memory: 1073741824 } }],
    ["strict-type", { vm: { ...exact, storage_devices: [{ name: "d", type: "virtio_disk", capacity: "2 GiB" }] } }],
    ["strict-range", { vm: { ...exact, storage_devices: [{ name: "d", type: "virtio_disk", capacity: 2 ** 41 }] } }],
    ["strict-range", { vm: { ...exact, cpu: 0, state: "shutoff" } }],
    ["strict-missing-key", { vm: { ...exact, storage_devices: [{ name: "d", source: "base", capacity: 2 ** 31 }] } }],
    ["strict-missing-key", { vm: { ...exact, storage_devices: [{ name: "d", type: "virtio_disk", source: "base" }] } }],
    ["strict-missing-key", { vm: { ...exact, state: undefined } }],
    ["strict-unknown-key", { vm: { ...exact, os: "windows" } }],
    ["strict-unknown-key", { vm: { ...exact, network_devices: [{ name: "n", type: "virtio", vlan: 3 }] } }],
    ["strict-unknown-key", { vm: exact, metadata: { lifecycle: "draft" } }],
    ["strict-value", { vm: exact, root: { version: 1 } }],
    [
      "strict-value",
      {
        vm: exact,
        asset: { type: "iso", format: "iso" },
        spec: { resources: [{ type: "virdomain", name: "w", spec: { ...exact, storage_devices: [] } }] },
      },
    ],
  ])("reports %s for %j, which is accepted otherwise", (code, changes) => {
    expect(strictCodes(application(changes))).toEqual([code]);
    expect(codesOf(parseManifest("a.yaml", application(changes)))).toEqual([]);
  });

  it("leaves deployments and cluster groups alone", () => {
    expect(strictCodes(`${deployment({})}---\n${group({})}`)).toEqual([]);
  });
});
