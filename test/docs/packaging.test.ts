import { readFileSync, statSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { formatConfigProblem, parseConfig } from "../../src/config/load.ts";
import { DEFAULT_USERS } from "../../src/simulator/forge/options.ts";
import packageJson from "../../package.json" with { type: "json" };
import { refusal } from "./cli-program.ts";
import { exists, root } from "./pages.ts";

interface Service {
  readonly build?: string;
  readonly image?: string;
  readonly command: readonly string[];
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: object;
}

/** The part of the Compose Specification this file uses; anything else is a slip of the pen. */
const serviceKeys =
  "build command depends_on environment healthcheck image ports restart stop_grace_period volumes".split(" ");
const conditions = ["service_started", "service_healthy", "service_completed_successfully"];

const dockerfile = read("Dockerfile").replaceAll("\\\n", " ");
const compose = parse(withDefaults(read("docker-compose.yml")), { merge: true }) as {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, null>>;
};
const services = Object.entries(compose.services);
const ours = services.filter(([, service]) => service.build !== undefined);

function read(file: string): string {
  return readFileSync(path.join(root, file), "utf8");
}

/** Compose's own replacement, with nothing in the environment: `${NAME:-default}`. */
function withDefaults(text: string): string {
  return text.replaceAll(/\$\{\w+:-([^}]*)\}/g, "$1");
}

function instructions(name: string): readonly string[] {
  return [...dockerfile.matchAll(new RegExp(`^${name} +(.*)$`, "gm"))].map(([, rest = ""]) => rest.trim());
}

/** The last word of an option in a command. */
function optionOf(service: Service | undefined, name: string): string | undefined {
  const at = service?.command.indexOf(name) ?? -1;
  return at === -1 ? undefined : service?.command[at + 1];
}

describe("Dockerfile", () => {
  const copied = instructions("COPY").map((line) => line.split(/\s+/));
  it("copies only what is there and not ignored", () => {
    const sources = copied
      .filter(([first]) => first?.startsWith("--from=") === false)
      .flatMap((words) => words.slice(0, -1));
    const ignored = read(".dockerignore").trim().split("\n");
    expect(sources.length).toBeGreaterThan(5);
    expect(sources.filter((source) => !exists(source) || ignored.includes(source.replace("./", "")))).toEqual([]);
  });
  it("takes from the build stage only what the build makes", () => {
    const taken = copied.filter(([first]) => first === "--from=build").map(([, source]) => source);
    expect(taken).toEqual(["/app/node_modules", "/app/dist"]);
    expect(instructions("RUN").some((line) => line.includes("npm run build"))).toBe(true);
  });
  it("runs on a Node that package.json allows", () => {
    const majors = instructions("FROM").map((image) => Number(/^node:(\d+)/.exec(image)?.[1]));
    const lowest = Number(/\d+/.exec(packageJson.engines.node)?.[0]);
    expect(majors.length).toBeGreaterThan(0);
    expect(majors.filter((major) => !(major > lowest))).toEqual([]);
  });
  it("starts a command that exists, from a file that may be run", async () => {
    const [entry = ""] = instructions("ENTRYPOINT");
    const [node, program = ""] = JSON.parse(entry) as string[];
    expect([node, exists(program.replace(/^\/app\//, ""))]).toEqual(["node", true]);
    expect(statSync(path.join(root, packageJson.bin["kraken-gitops"])).mode & 0o111).toBe(0o111);
    expect(await refusal(JSON.parse(instructions("CMD")[0] ?? "") as string[])).toBeUndefined();
  });
});

describe("docker-compose.yml", () => {
  it("uses only keys of the Compose Specification", () => {
    expect(Object.keys(compose).toSorted()).toEqual(["services", "volumes"]);
    for (const [name, service] of services) {
      expect(
        Object.keys(service).filter((key) => !serviceKeys.includes(key)),
        name,
      ).toEqual([]);
      expect(
        [service.build, service.image].filter((source) => source !== undefined),
        name,
      ).toHaveLength(1);
    }
  });
  it("gives our services commands that the program takes", async () => {
    const refusals = await Promise.all(ours.map(async ([name, { command }]) => [name, await refusal(command)]));
    expect(ours.length).toBeGreaterThan(3);
    expect(Object.fromEntries(refusals)).toEqual(Object.fromEntries(ours.map(([name]) => [name, undefined])));
  });
  it("mounts volumes it declares and files that are there", () => {
    for (const [name, service] of services)
      for (const [source = "", target = ""] of (service.volumes ?? []).map((volume) => volume.split(":"))) {
        const there = source.startsWith(".") ? exists(source) : source in compose.volumes;
        expect([name, source, there, target.startsWith("/")]).toEqual([name, source, true, true]);
      }
  });
  it("waits for services that exist, and for health only where it is checked", () => {
    for (const [name, service] of services)
      for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
        expect(conditions, name).toContain(condition);
        expect(compose.services, name).toHaveProperty(other);
        if (condition === "service_healthy") expect(compose.services[other]?.healthcheck, other).toBeDefined();
      }
  });
  it("publishes ports on this machine only, and those the simulators listen on", () => {
    for (const [name, service] of services)
      for (const port of service.ports ?? []) {
        const listening = optionOf(service, "--port") ?? "";
        expect(port, name).toMatch(new RegExp(`^127\\.0\\.0\\.1:\\d+:${listening}$`));
        expect(optionOf(service, "--host"), name).toBe("0.0.0.0");
      }
  });
  it("keeps what our services write where the image lets them write", () => {
    const home = /KRAKEN_GITOPS_DATA_DIR=(\S+)/.exec(dockerfile)?.[1] ?? "";
    for (const [name, service] of ours) {
      const written = [optionOf(service, "--state"), optionOf(service, "--data")].filter((file) => file !== undefined);
      expect(
        service.volumes?.some((volume) => volume.endsWith(`:${home}`)),
        name,
      ).toBe(true);
      expect(
        written.filter((file) => !file.startsWith(`${home}/`)),
        name,
      ).toEqual([]);
    }
  });
});

describe("config/compose.yaml", () => {
  const environment = compose.services["watcher"]?.environment ?? {};
  const loaded = parseConfig(read("config/compose.yaml"), path.join(root, "config/compose.yaml"), environment);
  if ("problems" in loaded) throw new Error(loaded.problems.map(formatConfigProblem).join("\n"));
  const { config } = loaded;

  it("is mounted where the image looks for it", () => {
    const place = /KRAKEN_GITOPS_CONFIG=(\S+)/.exec(dockerfile)?.[1];
    for (const name of ["watcher", "worker"])
      expect(compose.services[name]?.volumes).toContain(`./config/compose.yaml:${place}:ro`);
  });
  it("names services of the compose file, at the ports they listen on", () => {
    const addresses = [
      ...config.repositories.map(({ url }) => url),
      ...config.clusters.flatMap(({ hypercore }) => hypercore?.endpoints ?? []),
    ].map((address) => new URL(address));
    for (const { hostname, port } of addresses) expect(optionOf(compose.services[hostname], "--port")).toBe(port);
    expect(compose.services).toHaveProperty(new URL(config.redis.url ?? "").hostname);
  });
  it("watches the repository that the forge makes", () => {
    const made = optionOf(compose.services["forge"], "--repository");
    const forge = config.repositories[0]?.forge;
    expect(forge?.type === "github" ? `${forge.owner}/${forge.repository}` : undefined).toBe(made);
  });
  it("gets secrets that the simulators accept, in the watcher and in the workers", async () => {
    const forge = config.repositories[0]?.forge;
    const token = forge?.type === "github" ? await forge.token?.read() : undefined;
    expect(DEFAULT_USERS.map((user) => user.token)).toContain(token);
    const password = await config.clusters[0]?.hypercore?.password.read();
    expect(password).toBe(optionOf(compose.services["simulator"], "--password"));
    expect(compose.services["worker"]?.environment).toEqual(environment);
  });
});
