import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openGithub } from "../../src/adapters/forge/github.ts";
import { type ForgeSimulator, startForgeSimulator } from "../../src/simulator/forge/simulator.ts";

const all = { contents: "read", statuses: "write", pull_requests: "write", deployments: "write" } as const;
const texts = {
  contents: 'the token lacks the permission "Contents: read": the repository cannot be fetched with it',
  statuses: 'the token lacks the permission "Commit statuses: write": commit statuses will be refused',
  pull_requests: 'the token lacks the permission "Pull requests: write": plans cannot be written as comments',
  deployments: 'the token lacks the permission "Deployments: write": deployments will be refused',
};
const names = Object.keys(all) as (keyof typeof all)[];
const signal = AbortSignal.timeout(120_000);

let folder: string;
let simulator: ForgeSimulator;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "forge-rights-"));
  const user = (name: string, grants: Readonly<Record<string, "read" | "write">>) => ({
    login: `without-${name}`,
    token: `token-${name}`,
    grants,
  });
  simulator = await startForgeSimulator({
    dataDir: folder,
    repositories: [{ owner: "acme", name: "fleet" }],
    users: [
      user("nothing", all),
      user("everything", {}),
      ...names.map((name) => user(name, Object.fromEntries(Object.entries(all).filter(([key]) => key !== name)))),
    ],
  });
});
afterAll(async () => {
  await simulator.close();
  await rm(folder, { recursive: true, force: true });
});

it.each(names)("names the permission to %s that a fine-grained token lacks", async (name) => {
  expect(await findings(name, true)).toEqual([texts[name]]);
});

it("names them all, and asks for deployments only when they are to be reported", async () => {
  expect(await findings("everything", true)).toEqual(names.map((name) => texts[name]));
  expect(await findings("deployments", false)).toEqual([]);
});

it("has nothing to say of a token with every right, and writes nothing to find out", async () => {
  expect(await findings("nothing", true)).toEqual([]);
  const statuses = await fetch(`${simulator.url}/_simulator/statuses`);
  expect(await statuses.json()).toEqual([]);
  const headers = { authorization: "Bearer token-nothing", "user-agent": "test" };
  for (const list of ["pulls?state=all", "deployments"])
    expect(await (await fetch(`${simulator.apiUrl}/repos/acme/fleet/${list}`, { headers })).json()).toEqual([]);
});

async function findings(name: string, deployments: boolean): Promise<readonly string[]> {
  const { apiUrl } = simulator;
  const token = (): Promise<string> => Promise.resolve(`token-${name}`);
  const forge = openGithub({ apiUrl, owner: "acme", repository: "fleet", token, deployments });
  return (await forge.check(signal)).findings;
}
