import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { Config } from "./config.ts";
import { formatConfigProblem, parseConfig } from "./load.ts";
import { showConfig } from "./show.ts";

const file = "/etc/kraken/kraken-gitops.yaml";
const repository = "repositories: [{ name: fleet, url: https://github.com/acme/fleet.git";
const lab = "clusters: [{ name: lab, libvirt: { uri: qemu:///system } }]";
const smallest = `repositories: []\nclusters: []\n`;

function good(text: string, env: Record<string, string> = {}): Config {
  const loaded = parseConfig(text, file, env);
  if ("problems" in loaded) throw new Error(loaded.problems.map(formatConfigProblem).join("\n"));
  return loaded.config;
}

function onGitea(type: string, url: string, apiUrl = ""): string {
  const api = apiUrl === "" ? "" : `, apiUrl: ${apiUrl}`;
  return `repositories: [{ name: f, url: "${url}", forge: { type: ${type}, tokenEnv: T${api} } }]\nclusters: []`;
}

function onGitlab(url: string, apiUrl = ""): string {
  const api = apiUrl === "" ? "" : `, apiUrl: ${apiUrl}`;
  return `repositories: [{ name: f, url: "${url}", forge: { type: gitlab, tokenEnv: T${api} } }]\nclusters: []`;
}

function onGithub(url: string): string {
  return `repositories: [{ name: f, url: "${url}", forge: { type: github, tokenEnv: T } }]\nclusters: []`;
}

function problems(text: string): readonly string[] {
  const loaded = parseConfig(text, file, {});
  return "problems" in loaded ? loaded.problems.map(formatConfigProblem) : [];
}

function hypercore(settings: string): string {
  return `repositories: []\nclusters:\n  - name: a\n    hypercore: { username: u, passwordEnv: P, ${settings} }\n`;
}

/** The laboratory with these settings; its URI is a good one unless given. */
function onLibvirt(settings: string): string {
  const uri = settings.includes("uri:") ? "" : "uri: qemu:///system, ";
  return `repositories: []\nclusters: [{ name: lab, libvirt: { ${uri}${settings} } }]`;
}

function onNetwork(target: string): string {
  return `repositories: []\n${lab.replace(" } }]", ` }, networks: { x: ${target} } }]`)}`;
}

function onLimits(limits: string): string {
  return `repositories: []\n${lab.replace(" } }]", ` }, limits: ${limits} }]`)}`;
}

describe("defaults", () => {
  it("fills in everything that is left out", () => {
    expect(good(smallest)).toMatchObject({
      instance: "kraken-gitops",
      statusPrefix: "kraken-gitops",
      dataDir: "/etc/kraken/var",
      redis: { url: undefined },
      workers: { concurrency: 16, perCluster: 4 },
      drift: { intervalMs: 300_000, pauseMs: 60_000, corrections: 5, withinMs: 86_400_000 },
      log: { level: "info", format: "auto" },
    });
    expect(good(`${repository} }]\n${lab}`).repositories[0]).toMatchObject({
      branch: "main",
      path: "",
      pollMs: 15_000,
      forge: { type: "none" },
      auth: undefined,
      clusters: [],
    });
  });
  it("compares clusters as often as wished, or never", () => {
    const on = (drift: string): Config => good(`repositories: []\n${lab}\ndrift: ${drift}`);
    expect(on("{ interval: 1h, pause: 5m, corrections: 2, within: 7d }").drift).toEqual({
      intervalMs: 3_600_000,
      pauseMs: 300_000,
      corrections: 2,
      withinMs: 604_800_000,
    });
    expect(on("{ interval: off }").drift.intervalMs).toBe(0);
    expect(on('{ interval: "0" }').drift.intervalMs).toBe(0);
  });
  it("limits what downloads may take", () => {
    expect(good(smallest).assets).toMatchObject({
      allowPrivate: true,
      maxAssetBytes: undefined,
      cache: { maxBytes: 50 * 2 ** 30 },
    });
    const assets = "assets: { allowPrivate: false, maxAssetSize: 20 GB, cache: { maxSize: 100GiB } }\n";
    expect(good(assets + smallest).assets).toMatchObject({
      allowPrivate: false,
      maxAssetBytes: 20e9,
      cache: { maxBytes: 100 * 2 ** 30 },
    });
  });
  it("puts a named instance into the status contexts", () => {
    expect(good(`instance: edge\n${smallest}`).statusPrefix).toBe("kraken-gitops/edge");
    expect(good(`instance: edge\nstatusPrefix: ci\n${smallest}`).statusPrefix).toBe("ci");
  });
  it("lets the environment decide over the file", () => {
    const env = {
      KRAKEN_GITOPS_REDIS_URL: "redis://r",
      KRAKEN_GITOPS_DATA_DIR: "/d",
      KRAKEN_GITOPS_LOG_LEVEL: "debug",
    };
    const config = good(`log: { level: warn, format: json }\n${smallest}`, env);
    expect(config).toMatchObject({
      redis: { url: "redis://r" },
      dataDir: "/d",
      log: { level: "debug", format: "json" },
    });
  });
});

describe("GitHub", () => {
  it.each([
    ["https://github.com/acme/fleet.git", "https://api.github.com"],
    ["git@github.com:acme/fleet.git", "https://api.github.com"],
    ["https://acme.ghe.com/acme/fleet", "https://api.acme.ghe.com"],
    ["ssh://git@git.example:2222/acme/fleet.git", "https://git.example/api/v3"],
    ["https://git.example:8443/acme/fleet.git/", "https://git.example:8443/api/v3"],
  ])("derives owner, repository and API of %s", (url, apiUrl) => {
    expect(good(onGithub(url)).repositories[0]?.forge).toMatchObject({ apiUrl, owner: "acme", repository: "fleet" });
  });
  it("uses the forge's token for git over HTTPS to its own host only", () => {
    expect(good(onGithub("https://github.com/a/b")).repositories[0]?.auth).toMatchObject({ kind: "token" });
    expect(good(onGithub("git@github.com:a/b")).repositories[0]?.auth).toBeUndefined();
    const elsewhere = onGithub("https://git.example/a/b").replace("tokenEnv: T", "tokenEnv: T, apiUrl: https://other");
    expect(good(elsewhere).repositories[0]?.auth).toBeUndefined();
  });
});

describe("Gitea and Forgejo", () => {
  it.each([
    ["gitea", "https://gitea.example/acme/fleet.git", "https://gitea.example/api/v1"],
    ["forgejo", "git@codeberg.org:acme/fleet.git", "https://codeberg.org/api/v1"],
    ["gitea", "ssh://git@git.example:2222/acme/fleet.git", "https://git.example/api/v1"],
    ["gitea", "http://127.0.0.1:3000/acme/fleet.git", "http://127.0.0.1:3000/api/v1"],
    ["forgejo", "https://git.example/forge/acme/fleet", "https://git.example/forge/api/v1"],
  ])("derives the API of %s at %s", (type, url, apiUrl) => {
    const forge = { type, apiUrl, owner: "acme", repository: "fleet" };
    expect(good(onGitea(type, url)).repositories[0]?.forge).toMatchObject(forge);
  });
  it("takes the API's address as given", () => {
    const text = onGitea("gitea", "git@git.example:acme/fleet", "https://git.example/gitea/api/v1/");
    expect(good(text).repositories[0]?.forge).toMatchObject({ apiUrl: "https://git.example/gitea/api/v1" });
  });
  it("uses the forge's token for git over HTTPS, and never for ssh", () => {
    const [web] = good(onGitea("gitea", "https://git.example/a/b")).repositories;
    expect(web?.auth).toMatchObject({ kind: "token", username: undefined });
    expect(good(onGitea("gitea", "git@git.example:a/b")).repositories[0]?.auth).toBeUndefined();
  });
  it("knows no Apps and keeps no deployments", () => {
    const forge = "{ type: gitea, app: { id: 1, privateKeyFile: /k }, deployments: true }";
    expect(
      problems(`repositories: [{ name: f, url: "https://git.example/a/b", forge: ${forge} }]\nclusters: []`),
    ).toEqual([
      expect.stringMatching(/goes with forge type github only/),
      expect.stringMatching(/type gitea keeps none/),
    ]);
  });
  it("wants a repository of an owner", () => {
    expect(problems(onGitea("forgejo", "https://git.example/fleet"))).toEqual([
      expect.stringMatching(/does not end in <owner>\/<repository>, which forge type forgejo needs/),
    ]);
  });
});

describe("GitLab", () => {
  it.each([
    ["https://gitlab.com/acme/fleet.git", "", "https://gitlab.com/api/v4", "acme/fleet"],
    ["git@altssh.gitlab.com:acme/fleet.git", "", "https://gitlab.com/api/v4", "acme/fleet"],
    ["git@git.example:acme/infra/eu/fleet.git", "", "https://git.example/api/v4", "acme/infra/eu/fleet"],
    [
      "https://git.example/gitlab/acme/infra/fleet",
      "https://git.example/gitlab/api/v4/",
      "https://git.example/gitlab/api/v4",
      "acme/infra/fleet",
    ],
    [
      "git@git.example:gitlab/fleet",
      "https://git.example/gitlab/api/v4",
      "https://git.example/gitlab/api/v4",
      "gitlab/fleet",
    ],
  ])("derives API and project of %s", (url, given, apiUrl, project) => {
    expect(good(onGitlab(url, given)).repositories[0]?.forge).toMatchObject({ type: "gitlab", apiUrl, project });
  });
  it("uses the forge's token for git over HTTPS, in the way GitLab wants it", () => {
    const [repository] = good(onGitlab("https://gitlab.com/a/b")).repositories;
    expect(repository?.auth).toMatchObject({ kind: "token", username: "oauth2" });
    expect(good(onGitlab("git@gitlab.com:a/b")).repositories[0]?.auth).toBeUndefined();
  });
  it("wants a project in a group", () => {
    expect(problems(onGitlab("https://gitlab.com/fleet"))).toEqual([
      expect.stringMatching(/does not end in <group>\/<project>/),
    ]);
  });
  it("has no Apps", () => {
    const app = onGitlab("https://gitlab.com/a/b").replace("tokenEnv: T", "app: { id: 1, privateKeyFile: k }");
    expect(problems(app)).toEqual([expect.stringMatching(/app: goes with type github only/)]);
  });
});

describe("libvirt", () => {
  it("has defaults for everything but where it is", () => {
    expect(good(`repositories: []\n${lab}`).clusters[0]).toEqual({
      name: "lab",
      id: "lab",
      driver: "libvirt",
      labels: {},
      variables: {},
      networks: undefined,
      hypercore: undefined,
      libvirt: {
        uri: "qemu:///system",
        pool: "default",
        machine: "q35",
        accelerator: "kvm",
        disks: "copy",
        maxCpus: undefined,
        secureBoot: false,
        seedBus: "scsi",
        consoleLogs: "pool",
      },
    });
  });
  it("takes every setting", () => {
    const settings = {
      uri: "qemu+libssh://root@host:2222/system?keyfile=/k&known_hosts=/h",
      pool: "vms",
      machine: "q35",
      accelerator: "auto",
      disks: "overlay",
      maxCpus: 8,
      secureBoot: true,
      seedBus: "sata",
      consoleLogs: "/var/log/vms",
    };
    const text = `repositories: []\nclusters: [{ name: lab, libvirt: ${JSON.stringify(settings)} }]`;
    expect(good(text).clusters[0]?.libvirt).toEqual(settings);
  });
  it.each([
    "qemu:///session",
    "qemu+ssh://root@host/system",
    "qemu+tls://host/system?pkipath=/etc/pki",
    "qemu+unix:///system?socket=/run/libvirt/libvirt-sock",
    "test:///default",
    "test+unix:///default?socket=/run/s&mode=direct",
  ])("is reached at %s", (uri) => {
    expect(good(onLibvirt(`uri: "${uri}"`)).clusters[0]?.libvirt?.uri).toBe(uri);
  });
  it("maps NICs to networks, bridges, tagging networks and the user-mode network", () => {
    const networks = {
      "*": { network: "default" },
      lan: { bridge: "br0" },
      ovs: { network: "ovs", vlan: 20 },
      nat: { user: true },
    };
    const text = `repositories: []\n${lab.replace(" } }]", ` }, networks: ${JSON.stringify(networks)} }]`)}`;
    expect(good(text).clusters[0]?.networks).toEqual(networks);
  });
  it("may be a laboratory, as any cluster", () => {
    expect(good(onLimits("{ memory: 256 MiB, cpu: 2 }")).clusters[0]?.limits).toEqual({
      memoryBytes: 256 * 2 ** 20,
      cpu: 2,
    });
    expect(good(onLimits("{ cpu: 2 }")).clusters[0]?.limits).toEqual({ cpu: 2 });
    const onHypercore = `${hypercore("endpoints: [https://h]")}    limits: { memory: 1 GB }\n`;
    expect(good(onHypercore).clusters[0]?.limits).toEqual({ memoryBytes: 1e9 });
  });
});

describe("a GitHub App", () => {
  const on = (url: string, forge: string): string =>
    `repositories: [{ name: f, url: "${url}", forge: { type: github, ${forge} } }]\nclusters: []`;
  const url = "https://github.com/acme/fleet";

  it("takes the place of a token, for git too where the address is the forge's", () => {
    const [first] = good(on(url, "app: { id: 17, privateKeyFile: app.pem }, deployments: true")).repositories;
    expect(first).toMatchObject({
      auth: { kind: "forge-app" },
      forge: { token: undefined, app: { id: "17", installationId: undefined }, deployments: true },
    });
    expect(JSON.stringify(showConfig(good(on(url, "app: { id: 17, privateKeyFile: app.pem }"))))).toContain(
      "(file /etc/kraken/app.pem)",
    );
    const elsewhere = on(
      "ssh://git@github.com/acme/fleet",
      "app: { id: Iv1.a, privateKeyFile: /k, installationId: 5 }",
    );
    expect(good(elsewhere).repositories[0]).toMatchObject({
      auth: undefined,
      forge: { app: { id: "Iv1.a", installationId: 5 }, deployments: false },
    });
  });

  it("goes without a token beside it, and not without its key", () => {
    const both = "tokenEnv: T, app: { id: 17, privateKeyFile: app.pem }";
    expect(problems(on(url, both))[0]).toMatch(/forge: give a token or app, not both/);
    expect(problems(on(url, "app: { id: 17 }"))[0]).toMatch(/privateKeyFile is missing/);
    expect(problems(on(url, "deployments: true"))[0]).toMatch(/tokenFile .*is missing/);
  });
});

describe("problems", () => {
  it("are told all at once, with their places", () => {
    const text = `instnace: edge\nworkers: { concurrency: many }\nclusters: []\n`;
    expect(problems(text)).toEqual([
      `${file}:1:1: repositories is missing`,
      `${file}:1:1 instnace: unknown key (did you mean "instance"?)`,
      `${file}:2:12 workers.concurrency: must be a whole number`,
    ]);
  });
  it("of YAML itself have a place", () => {
    expect(problems("repositories: [\n")[0]).toMatch(/kraken-gitops\.yaml:\d+:\d+/);
  });
  const cases: readonly (readonly [string, string, RegExp])[] = [
    [
      "a name twice",
      `repositories: []\nclusters:\n  - ${lab.slice(11, -1)}\n  - ${lab.slice(11, -1)}`,
      /4:\d+ clusters\[1\]\.name: .*"lab"/,
    ],
    [
      "a default cluster that is not there",
      `${repository}, clusters: [lap] }]\n${lab}`,
      /clusters\[0\]: there is no cluster "lap"/,
    ],
    ["no driver", "repositories: []\nclusters: [{ name: a }]", /exactly one of hypercore and libvirt/],
    ["no token", `${repository}, forge: { type: github } }]\n${lab}`, /tokenFile .* is missing/],
    [
      "both places of a secret",
      `${repository}, forge: { type: github, tokenFile: a, tokenEnv: B } }]\n${lab}`,
      /not both/,
    ],
    [
      "comparing all the time",
      `repositories: []\n${lab}\ndrift: { interval: 1s }`,
      /drift\.interval: must be from 10s to 7d, or off/,
    ],
    ["a pause that is none", `repositories: []\n${lab}\ndrift: { pause: soon }`, /drift\.pause: "soon" is no duration/],
    ["a poll that is too short", `${repository}, poll: 500ms }]\n${lab}`, /poll: must be from 1s/],
    ["a path out of the repository", `${repository}, path: a/../../b }]\n${lab}`, /must stay inside/],
    ["an endpoint that is no URL", hypercore("endpoints: [10.0.0.1]"), /endpoints\[0\]: is no URL/],
    ["a password in a URL", `redis: { url: "redis://:geheim@r" }\n${smallest}`, /must not hold credentials/],
    [
      "a token in a repository's URL",
      `${repository.replace("https://", "https://x:geheim@")} }]\n${lab}`,
      /credentials/,
    ],
    [
      "a cluster name with a slash",
      "repositories: []\nclusters: [{ name: a/b, libvirt: { uri: x } }]",
      /letters, digits/,
    ],
    ["a size without a clear unit", `assets: { cache: { maxSize: 50G } }\n${smallest}`, /maxSize: .*50 GiB \(2\^30\)/],
    ["a size of nothing", `assets: { maxAssetSize: 0 }\n${smallest}`, /maxAssetSize: must be more than nothing/],
    ["a size that is none", `assets: { maxAssetSize: true }\n${smallest}`, /maxAssetSize: must be a size such as/],
    ["an ssh key for HTTPS", `${repository}, auth: { sshKeyFile: k } }]\n${lab}`, /ssh URL only/],
    ["a VLAN for libvirt", onNetwork("{ vlan: 1 }"), /a network or a bridge.*VLAN 1 is on/],
    ["two networks for libvirt", onNetwork("{ network: a, bridge: b }"), /exactly one of network, bridge and user/],
    ["no network for libvirt", onNetwork("{}"), /exactly one of network, bridge and user/],
    ["a VLAN on a bridge", onNetwork("{ bridge: b, vlan: 1 }"), /beside a network only/],
    ["a user-mode network that is none", onNetwork("{ user: false }"), /user: must be one of true/],
    [
      "a network for HyperCore",
      `${hypercore("endpoints: [https://h]")}    networks: { x: { vlan: 1, network: y } }\n`,
      /HyperCore takes a vlan, and nothing else/,
    ],
    ["a limit on memory that no VM can live with", onLimits("{ memory: 1 MiB }"), /limits\.memory: .*64 MiB/],
    ["a limit that is no size", onLimits("{ memory: much }"), /limits\.memory: /],
    ["a limit of no CPU", onLimits("{ cpu: 0 }"), /limits\.cpu: must be >= 1/],
    [
      "an unknown hypervisor",
      onLibvirt("uri: xen:///system"),
      /uri: must begin with qemu:\/\/ or .*qemu\+ssh:\/\/ or .*qemu\+tls:\/\//,
    ],
    ["a libvirt URI that is none", onLibvirt("uri: system"), /uri: is no URL \(write qemu:\/\/ or /],
    ["a libvirt URI without a daemon", onLibvirt("uri: qemu://system"), /uri: must end in \/system or \/session/],
    [
      "a password in a libvirt URI",
      onLibvirt("uri: qemu+ssh://root:geheim@host/system"),
      /uri: must not hold credentials/,
    ],
    ["Secure Boot on an old machine", onLibvirt("machine: pc, secureBoot: true"), /secureBoot: needs machine q35/],
    ["a relative folder for console logs", onLibvirt("consoleLogs: logs"), /consoleLogs: .*absolute folder/],
    ["an unknown accelerator", onLibvirt("accelerator: hvf"), /must be one of kvm, auto, tcg/],
  ];
  it.each(cases)("tells of %s", (_title, text, expected) => {
    const found = problems(text);
    expect(found.join("\n")).toMatch(expected);
    expect(found.join("\n")).not.toContain("geheim");
  });
});

describe("warnings", () => {
  it("tell of what is allowed but unwise", () => {
    const loaded = parseConfig(hypercore('endpoints: ["http://10.0.0.1"], tls: { insecure: true }'), file, {});
    expect("warnings" in loaded && loaded.warnings.map((warning) => warning.path)).toEqual([
      "clusters[0].hypercore.endpoints[0]",
      "clusters[0].hypercore.tls.insecure",
    ]);
    const unverified = parseConfig(onLibvirt('uri: "qemu+tls://host/system?no_verify=1"'), file, {});
    expect("warnings" in unverified && unverified.warnings.map((warning) => warning.path)).toEqual([
      "clusters[0].libvirt.uri",
    ]);
  });
});

describe("show", () => {
  it("never holds a secret", async () => {
    const config = good(hypercore('endpoints: ["https://10.0.0.1"]'), { P: "planted-secret" });
    expect(await config.clusters[0]?.hypercore?.password.read()).toBe("planted-secret");
    const shown = JSON.stringify(showConfig(config));
    expect(shown).not.toContain("planted-secret");
    expect(shown).toContain("environment variable P");
  });
});

const root = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));

describe("the files beside the code", () => {
  it("the example is valid and without warnings", () => {
    const loaded = parseConfig(readFileSync(root("config/example.yaml"), "utf8"), file, {});
    expect(loaded).toMatchObject({ warnings: [], config: { instance: "edge" } });
  });

  it("docs/configuration.md has every key of the schema and no other", () => {
    const schema = JSON.parse(readFileSync(root("config/config.schema.json"), "utf8")) as Schema;
    const page = readFileSync(root("docs/configuration.md"), "utf8");
    const documented = [...page.matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1] ?? "");
    const variables = documented.filter((name) => name.startsWith("KRAKEN_GITOPS_"));
    const keys = documented.filter((name) => !variables.includes(name));
    expect(keys.toSorted()).toEqual(keysOf(schema, schema).toSorted());
    expect(variables).toHaveLength(4);
  });
});

interface Schema {
  readonly $ref?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly definitions?: Readonly<Record<string, Schema>>;
}

function keysOf(schema: Schema, top: Schema, prefix = ""): readonly string[] {
  const target = schema.$ref === undefined ? schema : (top.definitions?.[schema.$ref.split("/").at(-1) ?? ""] ?? {});
  const own = Object.entries(target.properties ?? {}).flatMap(([key, value]) => {
    const name = prefix === "" ? key : `${prefix}.${key}`;
    return [name, ...keysOf(value, top, name)];
  });
  const nested =
    typeof target.additionalProperties === "object" ? keysOf(target.additionalProperties, top, `${prefix}.<name>`) : [];
  return [...own, ...nested, ...(target.items === undefined ? [] : keysOf(target.items, top, `${prefix}[]`))];
}
