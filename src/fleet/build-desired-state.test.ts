import { describe, expect, it } from "vitest";
import { parseManifest } from "../manifest/parse.ts";
import type { Cluster } from "./cluster.ts";
import { type DesiredStateInput, buildDesiredState } from "./build-desired-state.ts";
import type { DesiredState, DesiredVirdomain } from "./desired-state.ts";
import { createTargetCache } from "./target-cache.ts";

type Cells = Readonly<Record<string, unknown>>;

const resource = (name: string, spec: Cells = {}): Cells => ({
  type: "virdomain",
  name,
  spec: { cpu: 1, memory: "1 GiB", ...spec },
});

function application(
  name: string,
  options: { metadata?: Cells; resources?: readonly Cells[]; assets?: readonly Cells[] } = {},
): string {
  const { metadata, resources = [resource(`${name}-vm`)], assets = [] } = options;
  return JSON.stringify({
    type: "Application",
    version: "1.0.0",
    metadata: { name, ...metadata },
    spec: { assets, resources },
  });
}

const group = (name: string, clusters: readonly unknown[], variables: Cells = {}): string =>
  JSON.stringify({ type: "ClusterGroup", version: "1.0.0", metadata: { name }, spec: { clusters, variables } });

const deployment = (
  name: string,
  applications: readonly string[],
  clusterGroups: readonly string[],
  spec: Cells = {},
): string =>
  JSON.stringify({
    type: "Deployment",
    version: "1.0.0",
    metadata: { name },
    spec: { applications, clusterGroups, ...spec },
  });

const cluster = (name: string, more: Partial<Cluster> = {}): Cluster => ({
  name,
  driver: "hypercore",
  labels: {},
  variables: {},
  networks: undefined,
  ...more,
});

const fleet = [
  cluster("east-1", { labels: { region: "east" } }),
  cluster("east-2", { labels: { region: "east" } }),
  cluster("west-1"),
];

function build(documents: readonly string[], more: Partial<DesiredStateInput> = {}): DesiredState {
  const files = documents.map((text, index) => parseManifest(`f${index}.yaml`, text));
  return buildDesiredState({ repository: "fleet", files, clusters: fleet, defaultClusters: ["west-1"], ...more });
}

const keysOf = (state: DesiredState): readonly string[] => [...state.targets.keys()];
const problemsOf = (state: DesiredState): readonly string[] =>
  state.problems.map(({ code, severity }) => (severity === "error" ? code : `(${code})`));
const vmsOf = (state: DesiredState): readonly DesiredVirdomain[] =>
  [...state.targets.values()].flatMap(({ virdomains }) => virdomains);
const namesOf = (state: DesiredState): readonly string[] => vmsOf(state).map(({ name }) => name);

describe("targeting", () => {
  it.each<[string, readonly string[], readonly string[]]>([
    ["the default clusters without anything else", [application("a")], ["west-1/a"]],
    [
      "its own cluster groups before the default",
      [application("a", { metadata: { clusterGroups: ["east"] } }), group("east", ["east-*"])],
      ["east-1/a", "east-2/a"],
    ],
    [
      "its deployments before both",
      [
        application("a", { metadata: { clusterGroups: ["east"] } }),
        group("east", ["east-*"]),
        group("one", ["east-1"]),
        deployment("d", ["a"], ["one"]),
      ],
      ["east-1/a"],
    ],
    [
      "each cluster once, through whatever groups",
      [
        application("a"),
        group("x", [{ label: "region=east" }]),
        group("y", ["east-1", "west-1"]),
        deployment("d", ["a"], ["x", "y"]),
      ],
      ["east-1/a", "east-2/a", "west-1/a"],
    ],
    [
      "the clusters of several deployments",
      [
        application("a"),
        group("x", ["east-1"]),
        group("y", ["west-1"]),
        deployment("d", ["a"], ["x"]),
        deployment("e", ["a"], ["y"]),
      ],
      ["east-1/a", "west-1/a"],
    ],
    ["nowhere as a draft", [application("a", { metadata: { lifecycle: "draft" } })], []],
    ["nowhere when undeployed", [application("a", { metadata: { lifecycle: "undeploy" } })], []],
    ["no ordinary cluster as testonly", [application("a", { metadata: { lifecycle: "testonly" } })], []],
  ])("an application goes to %s", (_title, documents, expected) => {
    const state = build(documents);
    expect(keysOf(state)).toEqual(expected);
    expect(problemsOf(state)).toEqual([]);
    expect([...state.brokenApplications]).toEqual([]);
  });

  it("sends testonly applications to test clusters alone", () => {
    const clusters = [cluster("lab", { labels: { lifecycle: "testonly" } }), cluster("shop")];
    expect(
      keysOf(
        build([application("a", { metadata: { lifecycle: "testonly" } })], {
          clusters,
          defaultClusters: ["lab", "shop"],
        }),
      ),
    ).toEqual(["lab/a"]);
  });

  it("says which applications are gone on purpose and which are drafts", () => {
    const state = build([
      application("a", { metadata: { lifecycle: "undeploy" } }),
      application("b", { metadata: { lifecycle: "draft" } }),
    ]);
    expect([[...state.undeployed], [...(state.drafts ?? [])]]).toEqual([["a"], ["b"]]);
  });

  it.each<[string, readonly string[], readonly string[], readonly string[]]>([
    [
      "two deployments on one cluster",
      [application("a"), group("x", ["west-1"]), deployment("d", ["a"], ["x"]), deployment("e", ["a"], ["x"])],
      ["deployed-twice"],
      ["a"],
    ],
    [
      "an unknown group",
      [application("a"), deployment("d", ["a"], ["nope"])],
      ["unknown-cluster-group", "unknown-cluster-group"],
      ["a"],
    ],
    [
      "a group that selects nothing",
      [application("a"), group("x", ["moon"]), deployment("d", ["a"], ["x"])],
      ["no-cluster", "no-cluster"],
      ["a"],
    ],
    [
      "a selector that matches nothing",
      [application("a"), group("x", ["moon", "west-1"]), deployment("d", ["a"], ["x"])],
      ["(selector-unmatched)"],
      [],
    ],
    [
      "an unknown application",
      [application("a"), group("x", ["west-1"]), deployment("d", ["a", "b"], ["x"])],
      ["unknown-application"],
      [],
    ],
    ["two applications of one name", [application("a"), application("a")], ["duplicate-name", "duplicate-name"], ["a"]],
    [
      "two groups of one name",
      [application("a"), group("x", ["east-1"]), group("x", ["east-2"]), deployment("d", ["a"], ["x"])],
      ["unknown-cluster-group", "duplicate-name", "duplicate-name"],
      ["a"],
    ],
    [
      "two deployments of one name",
      [
        application("a"),
        group("x", ["east-1"]),
        group("y", ["east-2"]),
        deployment("d", ["a"], ["x"]),
        deployment("d", ["a"], ["y"]),
      ],
      ["duplicate-name", "duplicate-name"],
      ["a"],
    ],
    [
      "entries that name nothing",
      [
        application("a"),
        group("x", ["west-1"]),
        deployment("d", ["a"], ["x"], {
          order: ["tier:web"],
          instances: { b: 2 },
          renamed_from: { c: "d" },
          policy: { protect: ["e"] },
        }),
      ],
      ["(name-unmatched)", "(name-unmatched)", "(name-unmatched)", "(name-unmatched)"],
      [],
    ],
  ])("reports %s", (_title, documents, problems, broken) => {
    const state = build(documents);
    expect(problemsOf(state)).toEqual(problems);
    expect([...state.brokenApplications]).toEqual(broken);
  });

  it("reports default clusters that are not configured, and warns of an application that goes nowhere", () => {
    expect(problemsOf(build([application("a")], { defaultClusters: ["moon"] }))).toEqual(["no-cluster"]);
    expect(problemsOf(build([application("a")], { defaultClusters: [] }))).toEqual(["(not-deployed)"]);
  });
});

describe("broken documents", () => {
  it("break their own application and leave the others", () => {
    const state = build([application("bad", { resources: [resource("x", { cpu: "many" })] }), application("good")]);
    expect(keysOf(state)).toEqual(["west-1/good"]);
    expect([...state.brokenApplications]).toEqual(["bad"]);
    expect(state.complete).toBe(true);
  });

  it("of a Deployment keep its applications as they are", () => {
    const state = build([
      application("a"),
      application("b"),
      group("x", ["east-1"]),
      deployment("d", ["a"], ["x"], { policy: { drift: "maybe" } }),
    ]);
    expect(keysOf(state)).toEqual(["west-1/b"]);
    expect(problemsOf(state)).toContain("deployment-broken");
  });

  it("of a Deployment that hides its applications keep every application as it is", () => {
    const state = build([application("a"), application("b"), "type: Deployment\nmetadata: { name: d }\nspec: ["]);
    expect(keysOf(state)).toEqual([]);
    expect([...state.brokenApplications].sort()).toEqual(["a", "b"]);
  });

  it("that cannot be read at all make the state incomplete", () => {
    expect(build([application("a"), "spec: ["]).complete).toBe(false);
  });
});

describe("variables", () => {
  const text = application("a", {
    resources: [resource("vm-{{ clusterName }}", { description: "{{ who }}", tags: ["on:{{clusterId}}"] })],
  });
  const describeWith = (documents: readonly string[], variables: Record<string, string> = {}): string | undefined => {
    const state = build([text, ...documents], {
      clusters: [cluster("one", { variables })],
      defaultClusters: ["one"],
      clusterId: () => "id-1",
    });
    return vmsOf(state)[0]?.description;
  };
  const placed = (groupVariables: Cells, deploymentVariables: Cells): readonly string[] => [
    group("g", ["one"], groupVariables),
    deployment("d", ["a"], ["g"], { variables: deploymentVariables }),
  ];

  it("come from the cluster before the group before the deployment", () => {
    expect(describeWith(placed({}, { who: "deployment" }))).toBe("deployment");
    expect(describeWith(placed({ who: "group" }, { who: "deployment" }))).toBe("group");
    expect(describeWith(placed({ who: "group" }, { who: "deployment" }), { who: "cluster" })).toBe("cluster");
  });

  it("of the cluster itself cannot be overridden", () => {
    const state = build([application("a", { resources: [resource("vm-{{ clusterName }}")] })], {
      clusters: [cluster("one", { variables: { clusterName: "evil" } })],
      defaultClusters: ["one"],
    });
    expect(namesOf(state)).toEqual(["vm-one"]);
  });

  it("that are not defined are a problem with its place, told once for all clusters", () => {
    const documents = [
      application("a", { resources: [resource("vm", { description: "{{ clustrName }}" })] }),
      group("all", ["*"]),
      deployment("d", ["a"], ["all"]),
    ];
    const state = build(documents);
    expect(state.problems).toMatchObject([
      {
        code: "undefined-variable",
        path: "spec.resources[0].spec.description",
        position: { file: "f0.yaml", line: 1 },
        message: "{{ clustrName }} has no value on east-1, east-2, west-1",
        hint: 'did you mean "clusterName"?',
        application: "a",
      },
    ]);
    expect(keysOf(state)).toEqual([]);
  });

  it("unknown to us stay in guest text", () => {
    const user_data = "#cloud-config\nruncmd: ['echo {{ ds.x }} {{ jinja }} ${HOME} {{ clusterName }}']\n";
    const state = build([
      application("a", {
        resources: [resource("vm", { cloud_init_data: { user_data }, description: "two\nlines {{ guest }}" })],
      }),
    ]);
    expect(problemsOf(state)).toEqual([]);
    expect(vmsOf(state)[0]?.cloudInit?.userData).toContain("{{ ds.x }} {{ jinja }} ${HOME} west-1");
    expect(vmsOf(state)[0]?.description).toBe("two\nlines {{ guest }}");
  });

  it("do not take {{ instance_id }} from the guest of a VM without a number", () => {
    const user_data = "## template: jinja\n#cloud-config\nhostname: '{{ instance_id }}'\n";
    const cloud = { cloud_init_data: { user_data } };
    const state = build([
      application("a", { resources: [resource("vm", cloud), resource("vm-{{ instance_id }}", cloud)] }),
    ]);
    expect(vmsOf(state).map(({ cloudInit }) => cloudInit?.userData.includes("'{{ instance_id }}'"))).toEqual([
      true,
      false,
    ]);
  });

  it.each<[string, Cells, string]>([
    ["memory", { memory: "{{ v }}" }, "invalid-quantity"],
    ["cpu", { cpu: "{{ v }}" }, "invalid-number"],
    ["vlan", { network_devices: [{ name: "n", vlan: "{{ v }}" }] }, "invalid-number"],
    ["capacity", { storage_devices: [{ name: "d", capacity: "{{ v }}" }] }, "invalid-quantity"],
    ["tag", { tags: ["{{ v }}"] }, "invalid-tag"],
  ])("that make no sense as %s are a problem", (_title, spec, code) => {
    const documents = [
      application("a", { resources: [resource("vm", spec)] }),
      group("g", ["west-1"], { v: "a,b" }),
      deployment("d", ["a"], ["g"]),
    ];
    expect(problemsOf(build(documents))).toEqual([code]);
  });

  it("fill in numbers and sizes", () => {
    const spec = {
      cpu: "{{ n }}",
      memory: "{{ n }} GiB",
      network_devices: [{ name: "n", vlan: "{{ n }}" }],
      storage_devices: [{ name: "d", capacity: "{{ n }}0 GB" }],
    };
    const [vm] = vmsOf(
      build([
        application("a", { resources: [resource("vm", spec)] }),
        group("g", ["west-1"], { n: 4 }),
        deployment("d", ["a"], ["g"]),
      ]),
    );
    expect(vm).toMatchObject({
      cpu: 4,
      memoryBytes: 4 * 2 ** 30,
      nics: [{ network: { vlan: 4 } }],
      disks: [{ capacityBytes: 40e9 }],
    });
  });

  it("in a URL are checked once they are known", () => {
    const assets = [{ name: "i", type: "virtual_disk", url: "{{ mirror }}/x.img" }];
    const resources = [resource("vm", { storage_devices: [{ name: "d", source: "i" }] })];
    const at = (mirror: string): readonly string[] =>
      problemsOf(
        build([
          application("a", { assets, resources }),
          group("g", ["west-1"], { mirror }),
          deployment("d", ["a"], ["g"]),
        ]),
      );
    expect(at("https://example.com")).toEqual([]);
    expect(at("http://example.com")).toEqual(["insecure-url"]);
    expect(at("file:///etc")).toEqual(["invalid-url"]);
  });
});

describe("instances", () => {
  const numbered = application("a", { resources: [resource("app-{{ instance_id }}", { tags: ["tier:app"] })] });
  const deploy = (text: string, spec: Cells): DesiredState =>
    build([text, group("g", ["west-1"]), deployment("d", ["a"], ["g"], spec)]);

  it.each<[Cells, readonly string[]]>([
    [{}, ["app-1"]],
    [{ instances: { "tier:app": 3 } }, ["app-1", "app-2", "app-3"]],
    [{ instances: { app: 2 } }, ["app-1", "app-2"]],
    [{ instances: { "app-{{instance_id}}": 2, "tier:app": 5 } }, ["app-1", "app-2"]],
    [{ instances: { app: 0 } }, []],
    [{ variables: { instance_id: "07" } }, ["app-07"]],
    [{ variables: { instance_id: "07" }, instances: { app: 1 } }, ["app-1"]],
  ])("%j makes %j", (spec, names) => {
    expect(namesOf(deploy(numbered, spec))).toEqual(names);
  });

  it("keep the first VM when the number grows from none", () => {
    const [alone] = vmsOf(deploy(numbered, {}));
    const [first] = vmsOf(deploy(numbered, { instances: { app: 3 } }));
    expect(first?.identity).toEqual(alone?.identity);
    expect(first?.identity.ordinal).toBe(1);
  });

  it("need the number in the name", () => {
    const state = deploy(application("a"), { instances: { "a-vm": 2 } });
    expect(state.problems).toMatchObject([{ code: "instance-name", hint: 'name it "a-vm-{{ instance_id }}"' }]);
    expect(vmsOf(deploy(application("a"), { instances: { "a-vm": 1 } }))[0]?.identity.ordinal).toBe(0);
  });

  const renamed = (resources: readonly Cells[], renamed_from: Cells, instances: Cells = {}): unknown =>
    vmsOf(deploy(application("a", { resources }), { renamed_from, instances })).map(({ formerIdentities }) =>
      formerIdentities.map(({ application: of, resource: old, ordinal }) => `${of}/${old}#${ordinal}`),
    );

  it("know what they were called before", () => {
    expect(renamed([resource("new")], { new: "old" })).toEqual([["a/old#0"]]);
    expect(renamed([resource("new")], { new: "shop/old" })).toEqual([["shop/old#0"]]);
    expect(renamed([resource("c")], { c: "b", b: "a" })).toEqual([["a/b#0", "a/a#0"]]);
    expect(renamed([resource("c")], { c: "b", b: "c" })).toEqual([["a/b#0", "a/c#0"]]);
    expect(renamed([resource("n-{{ instance_id }}")], { n: "old" }, { n: 2 })).toEqual([["a/old#0"], []]);
    expect(renamed([resource("n-{{ instance_id }}")], { n: "o-{{instance_id}}" }, { n: 2 })).toEqual([
      ["a/o-{{ instance_id }}#1"],
      ["a/o-{{ instance_id }}#2"],
    ]);
  });
});

it("orders VMs by tag or name, and puts the rest last", () => {
  const resources = [
    resource("web", { tags: ["tier:web"] }),
    resource("db", { tags: ["tier:database"] }),
    resource("cache"),
    resource("other"),
  ];
  const state = build([
    application("a", { resources }),
    group("g", ["west-1"]),
    deployment("d", ["a"], ["g"], { order: ["tier:database", "cache", "tier:web"] }),
  ]);
  expect(vmsOf(state).map(({ name, step }) => [name, step])).toEqual([
    ["web", 2],
    ["db", 0],
    ["cache", 1],
    ["other", 3],
  ]);
  expect(vmsOf(build([application("a")]))[0]?.step).toBe(0);
});

describe("a laboratory", () => {
  const mebibyte = 1024 ** 2;
  const vmIn = (limits: Cluster["limits"], spec: Cells): Partial<DesiredVirdomain> | undefined => {
    const clusters = [cluster("lab", limits === undefined ? {} : { limits })];
    const documents = [application("a", { resources: [resource("vm", spec)] })];
    const [vm] = vmsOf(build(documents, { clusters, defaultClusters: ["lab"] }));
    return vm === undefined ? undefined : { cpu: vm.cpu, memoryBytes: vm.memoryBytes, ...kept(vm) };
  };
  const kept = ({ scaledDown }: DesiredVirdomain): Partial<DesiredVirdomain> =>
    scaledDown === undefined ? {} : { scaledDown };
  const large = { cpu: 8, memory: "4 GiB" };

  it.each<[string, Cluster["limits"], Cells, Partial<DesiredVirdomain>]>([
    ["gives all without limits", undefined, large, { cpu: 8, memoryBytes: 4096 * mebibyte }],
    [
      "gives all within its limits",
      { cpu: 8, memoryBytes: 4096 * mebibyte },
      large,
      { cpu: 8, memoryBytes: 4096 * mebibyte },
    ],
    [
      "cuts memory and CPUs",
      { cpu: 2, memoryBytes: 256 * mebibyte },
      large,
      { cpu: 2, memoryBytes: 256 * mebibyte, scaledDown: { cpu: 8, memoryBytes: 4096 * mebibyte } },
    ],
    ["cuts CPUs alone", { cpu: 2 }, large, { cpu: 2, memoryBytes: 4096 * mebibyte, scaledDown: { cpu: 8 } }],
    [
      "gives whole MiB",
      { memoryBytes: 300_000_000 },
      large,
      { cpu: 8, memoryBytes: 286 * mebibyte, scaledDown: { memoryBytes: 4096 * mebibyte } },
    ],
    ["never gives more than asked for", { cpu: 2 }, { cpu: 1 }, { cpu: 1, memoryBytes: 1024 * mebibyte }],
  ])("%s", (_title, limits, spec, expected) => {
    expect(vmIn(limits, spec)).toEqual(expected);
  });
});

describe("networks", () => {
  const nicsOn = (networks: Cluster["networks"], nic: Cells): DesiredState =>
    build([application("a", { resources: [resource("vm", { network_devices: [{ name: "web-net", ...nic }] })] })], {
      clusters: [cluster("one", { networks })],
      defaultClusters: ["one"],
    });

  it.each<[string, Cluster["networks"], Cells, unknown]>([
    ["the manifest's vlan without a mapping", undefined, { vlan: 7 }, { vlan: 7 }],
    ["no vlan without a mapping", undefined, {}, { vlan: 0 }],
    ["the NIC's name", { "web-net": { vlan: 20 }, "vlan:7": { vlan: 1 }, "*": { vlan: 9 } }, { vlan: 7 }, { vlan: 20 }],
    ["the vlan", { "vlan:7": { bridge: "br7" }, "*": { vlan: 9 } }, { vlan: 7 }, { bridge: "br7" }],
    ["the star", { "*": { network: "default" } }, { vlan: 7 }, { network: "default" }],
  ])("are found by %s", (_title, networks, nic, network) => {
    expect(vmsOf(nicsOn(networks, nic))[0]?.nics[0]?.network).toEqual(network);
  });

  const onLibvirt = (nic: Cells): DesiredState =>
    build([application("a", { resources: [resource("vm", { network_devices: [{ name: "web-net", ...nic }] })] })], {
      clusters: [cluster("one", { driver: "libvirt" })],
      defaultClusters: ["one"],
    });

  it.each([
    ["no vlan", {}],
    ["vlan 0", { vlan: 0 }],
  ])("on libvirt without a mapping are libvirt's own for a NIC with %s", (_title, nic) => {
    expect(vmsOf(onLibvirt(nic))[0]?.nics[0]?.network).toEqual({ network: "default" });
  });

  it("on libvirt without a mapping are none for a VLAN, and the problem says what to configure", () => {
    expect(onLibvirt({ vlan: 20 }).problems).toMatchObject([
      { code: "network-unmapped", hint: expect.stringContaining('networks: { "vlan:20": { network: <name> } }') },
    ]);
  });

  it("that are not mapped are a problem naming NIC, cluster and what is mapped", () => {
    const state = nicsOn({ "db-net": { vlan: 3 } }, {});
    expect(state.problems).toMatchObject([
      {
        code: "network-unmapped",
        message: 'the NIC "web-net" is mapped to no network of its cluster on one',
        hint: expect.stringContaining("db-net"),
      },
    ]);
    expect(keysOf(state)).toEqual([]);
  });
});

it("refuses two VMs of one name on a cluster, and tells both places", () => {
  const state = build([
    application("a", { resources: [resource("vm")] }),
    application("b", { resources: [resource("vm")] }),
    application("c"),
  ]);
  expect(state.problems.map(({ code, position, message }) => [code, position.file, message])).toEqual([
    ["virdomain-name-twice", "f0.yaml", 'the VM "vm" is also a VM of the application "b" (f1.yaml:1) on west-1'],
    ["virdomain-name-twice", "f1.yaml", 'the VM "vm" is also a VM of the application "a" (f0.yaml:1) on west-1'],
  ]);
  expect(keysOf(state)).toEqual(["west-1/c"]);
});

it("rounds memory up to whole MiB, and hashes what a disk is made from", () => {
  const assets = [{ name: "i", type: "virtual_disk", url: "https://example.com/x.img" }];
  const [vm] = vmsOf(
    build([
      application("a", {
        assets,
        resources: [resource("vm", { memory: "4 GB", storage_devices: [{ name: "d", source: "i" }] })],
      }),
    ]),
  );
  expect(vm?.memoryBytes).toBe(3815 * 2 ** 20);
  expect(vm?.disks[0]?.asset).toMatchObject({
    url: "https://example.com/x.img",
    id: expect.stringMatching(/^[0-9a-f]{12}$/),
  });
});

const hashOf = (text: string): string | undefined => build([text]).targets.get("west-1/a")?.hash;

describe("the hash of a target", () => {
  const base = application("a");

  it("is the same for the same content written in another way", () => {
    const rewritten = `\n# moved down\n\n${JSON.stringify(JSON.parse(base), undefined, 2)}`.replace(
      '"1 GiB"',
      "1073741824",
    );
    expect(hashOf(rewritten)).toBe(hashOf(base));
  });

  it.each([
    ["memory", base.replace("1 GiB", "2 GiB")],
    [
      "cloud-init",
      application("a", { resources: [resource("a-vm", { cloud_init_data: { user_data: "#cloud-config\n" } })] }),
    ],
    ["tags", application("a", { resources: [resource("a-vm", { tags: ["x"] })] })],
  ])("changes with %s", (_title, text) => {
    expect(hashOf(text)).not.toBe(hashOf(base));
  });
});

describe("the cache", () => {
  const files = [application("a"), application("b")].map((text, index) => parseManifest(`f${index}.yaml`, text));
  const input = { repository: "fleet", clusters: fleet, defaultClusters: ["west-1"] };

  it("gives back the same targets while nothing they rest on changes", () => {
    const cache = createTargetCache();
    const before = buildDesiredState({ ...input, files, cache });
    const changed = parseManifest("f1.yaml", application("b", { resources: [resource("other")] }));
    const after = buildDesiredState({
      ...input,
      files: [...files.slice(0, 1), changed],
      clusters: structuredClone(fleet),
      cache,
    });
    expect(after.targets.get("west-1/a")).toBe(before.targets.get("west-1/a"));
    expect(after.targets.get("west-1/b")).not.toBe(before.targets.get("west-1/b"));
    const back = buildDesiredState({ ...input, files, cache });
    expect(back.targets.get("west-1/b")).toBe(before.targets.get("west-1/b"));
  });

  it("notices what changes outside the documents", () => {
    const cache = createTargetCache();
    const plain = buildDesiredState({ ...input, files, cache });
    const clusters = [cluster("west-1", { variables: { a: "b" } })];
    expect(buildDesiredState({ ...input, files, clusters, cache }).targets.get("west-1/a")).not.toBe(
      plain.targets.get("west-1/a"),
    );
    expect(buildDesiredState({ ...input, files, clusterId: () => "7", cache }).targets.get("west-1/a")).not.toBe(
      plain.targets.get("west-1/a"),
    );
  });

  it("repeats the problems of a cached target", () => {
    const cache = createTargetCache();
    const bad = [
      parseManifest("f.yaml", application("a", { resources: [resource("vm", { description: "{{ nope }}" })] })),
    ];
    const first = buildDesiredState({ ...input, files: bad, cache });
    expect(buildDesiredState({ ...input, files: bad, cache })).toEqual(first);
    expect(problemsOf(first)).toEqual(["undefined-variable"]);
  });

  it("does not grow without bound", () => {
    const cache = createTargetCache(5);
    const many = Array.from({ length: 20 }, (_, index) => parseManifest(`f${index}.yaml`, application(`app-${index}`)));
    expect(buildDesiredState({ ...input, files: many, cache }).targets.size).toBe(20);
    expect(cache.size).toBe(5);
  });
});
