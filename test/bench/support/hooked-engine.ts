import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { composeEngine, type OpenEngine } from "../../../src/app/compose.ts";
import { startWatching, startWorking } from "../../../src/app/roles.ts";
import { ForgeClient } from "../../../src/cli/demo/forge-client.ts";
import { WorkTree } from "../../../src/cli/demo/work-tree.ts";
import { Handles } from "../../../src/lib/handles.ts";
import { startHttpServer } from "../../../src/server/http-server.ts";
import { DEFAULT_USERS } from "../../../src/simulator/forge/options.ts";
import { temporaryFolder } from "../../support/git-repository.ts";
import { waitFor } from "../../support/wait-for.ts";
import { secret, silentLog } from "../../support/world.ts";
import { benchConfig, githubForge } from "./bench-config.ts";
import { startFarm } from "./farm.ts";
import { type Fleet, makeFleet } from "./fleet-files.ts";
import { createSeeder } from "./seeded-clusters.ts";

/** A running engine on a forge and clusters of another process, whose VMs are as the tracked branch says. */
export interface HookedEngine extends AsyncDisposable {
  readonly engine: OpenEngine;
  readonly fleet: Fleet;
  readonly client: ForgeClient;
  readonly tree: WorkTree;
  readonly clusterUrls: readonly string[];
  /** Where the forge tells when it was at work for the engine. */
  readonly timesUrl: string;
  /** Writes files and commits them; answers the commit. */
  readonly commit: (files: Readonly<Record<string, string>>, message: string) => Promise<string>;
  /** Waits for the final status of a commit. */
  readonly settled: (commit: string) => Promise<void>;
}

/** How a change is heard of: by the forge's webhook (and a poll every ten minutes), or by polling alone. */
export type Hearing = { readonly webhook: true } | { readonly webhook: false; readonly pollMs: number };

export async function openHookedEngine(hearing: Hearing, applications: number, sites: number): Promise<HookedEngine> {
  const handles = new Handles();
  try {
    return await open(handles, hearing, applications, sites);
  } catch (error) {
    await handles[Symbol.asyncDispose]();
    throw error;
  }
}

async function open(handles: Handles, hearing: Hearing, applications: number, sites: number): Promise<HookedEngine> {
  const folder = handles.use(await temporaryFolder("kraken-bench-"));
  const fleet = await makeFleet(applications, sites);
  const seeder = await createSeeder(folder.path);
  const seeded = await Promise.all(fleet.clusters.map((cluster) => seeder.write(fleet, cluster)));
  const farm = handles.use(
    await startFarm({
      timedToken: "bot-token",
      clusters: seeded.map(({ file }) => ({ stateFile: file, taskMs: 50, rememberedCalls: 5_000 })),
      forge: {
        dataDir: join(folder.path, "forge"),
        repositories: [{ owner: "acme", name: "fleet" }],
        users: [...DEFAULT_USERS, { login: "olga", token: "admin-token", permission: "admin" }],
      },
    }),
  );
  if (farm.forge === undefined) throw new Error("the farm has no forge");
  const { apiUrl, url, timesUrl } = farm.forge;
  const work = join(folder.path, "work");
  const tree = await WorkTree.start(work, `${url}/acme/fleet.git`, "alice-token");
  const client = new ForgeClient(apiUrl, "acme/fleet", "alice-token");
  const config = await benchConfig({
    folder: folder.path,
    repositoryUrl: `${url}/acme/fleet.git`,
    clusters: new Map(fleet.clusters.map((name, index) => [name, farm.urls[index] ?? ""])),
    repository: {
      pollMs: hearing.webhook ? 600_000 : hearing.pollMs,
      auth: { kind: "token", username: undefined, token: secret("bot-token") },
      forge: githubForge(apiUrl),
      webhookSecret: hearing.webhook ? secret("bench-secret") : undefined,
    },
  });
  const commit = async (files: Readonly<Record<string, string>>, message: string): Promise<string> => {
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(work, name)), { recursive: true });
      await writeFile(join(work, name), text);
    }
    return tree.commit(message);
  };
  const first = await commit(fleet.files, "The fleet");
  await tree.push("main");
  const engine = handles.use(await composeEngine({ config, log: silentLog, version: "0.0.0-bench" }));
  handles.use(await startWorking(engine));
  handles.use(startWatching(engine));
  if (hearing.webhook) {
    const server = handles.use(await startHttpServer(engine, { host: "127.0.0.1", port: 0 }));
    await makeHook(apiUrl, `${server.url}/webhooks/github/fleet`);
  }
  const settled = async (revision: string): Promise<void> => {
    const status = await waitFor(
      async () => {
        const newest = (await client.statuses(revision)).findLast(({ context }) => context === "kraken-gitops/sync");
        return newest?.state === "pending" ? undefined : newest;
      },
      { what: `the final status of ${revision}`, timeoutMs: 120_000 },
    );
    if (status.state !== "success") throw new Error(`${status.state}: ${status.description}`);
  };
  await settled(first);
  return {
    engine,
    fleet,
    client,
    tree,
    clusterUrls: farm.urls,
    timesUrl,
    commit,
    settled,
    [Symbol.asyncDispose]: () => handles[Symbol.asyncDispose](),
  };
}

async function makeHook(apiUrl: string, url: string): Promise<void> {
  const config = { url, content_type: "json", secret: "bench-secret" };
  const answer = await fetch(`${apiUrl}/repos/acme/fleet/hooks`, {
    method: "POST",
    headers: { authorization: "Bearer admin-token" },
    body: JSON.stringify({ events: ["push", "pull_request"], config }),
  });
  if (!answer.ok) throw new Error(`the hook was refused: ${answer.status} ${await answer.text()}`);
}
