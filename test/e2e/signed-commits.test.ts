import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Redis } from "ioredis";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { socketPathOf } from "../../src/adapters/redis/socket-path.ts";
import type { Config } from "../../src/config/config.ts";
import { temporaryFolder } from "../support/git-repository.ts";
import { GpgHome, type Signer, sshSigner } from "../support/signing.ts";
import { useWorld } from "../support/use-world.ts";
import { waitFor } from "../support/wait-for.ts";
import { manifest, type World, type WorldOptions } from "../support/world.ts";

const open = useWorld();

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let ada: Signer;
let allowedSigners: string;

beforeEach(async () => {
  folder = await temporaryFolder();
  ada = await sshSigner(folder.path, "ada@example.com");
  allowedSigners = join(folder.path, "allowed_signers");
  await writeFile(allowedSigners, ada.publicKey);
});
afterEach(() => folder[Symbol.asyncDispose]());

const requiring =
  (gpgKeys?: string) =>
  (config: Config): Config => ({
    ...config,
    repositories: config.repositories.map((one) => ({ ...one, signatures: { allowedSigners, gpgKeys } })),
  });

/** A world in which only Ada's commits are synced; nobody has signed anything yet. */
const openSigned = (options: WorldOptions = {}): Promise<World> => open({ config: requiring(), ...options });

/** Whose signature the next commits bear; nobody's unless given. */
async function signAs(w: World, signer: Signer | undefined): Promise<void> {
  for (const setting of signer?.settings ?? []) {
    const [key = "", value = ""] = setting.split("=");
    await w.tree.git("config", key, value);
  }
  await w.tree.git("config", "commit.gpgSign", signer === undefined ? "false" : "true");
}

async function pushAs(
  w: World,
  signer: Signer | undefined,
  names: readonly string[],
  message: string,
): Promise<string> {
  await signAs(w, signer);
  return w.push(shop(names), message);
}

const shop = (names: readonly string[], cpu = 1): Record<string, string> => ({
  "manifests/shop.yaml": manifest(
    "shop",
    names.map((name) => ({ name, cpu })),
  ),
});

const names = async (w: World): Promise<string[]> => (await w.vms()).map(({ name }) => name).sort();

async function finals(w: World, commit: string): Promise<string[]> {
  return (await w.statuses(commit)).flatMap(({ state, description }) => (state === "pending" ? [] : [description]));
}

const refused = (why: string): string => `Refused: not signed by an allowed signer (${why}); nothing is changed`;

describe("where signatures are required", () => {
  it("an unsigned merge is refused, and a signed commit after it is synced", async () => {
    const w = await openSigned();
    const first = await pushAs(w, ada, ["web"], "Add the shop");
    expect(await w.final(first)).toMatchObject({ state: "success" });
    await w.tree.branch("idea");
    const head = await w.commit(shop(["web", "db"]), "A database");
    await w.tree.push("idea");
    const merged = await w.forge.merge(await w.forge.openPullRequest("A database", "idea"));
    expect(await w.final(merged)).toMatchObject({ state: "failure", description: refused("unsigned") });
    expect(await w.final(head)).toMatchObject({ description: `Superseded by ${merged.slice(0, 7)}, refused` });
    expect(await names(w)).toEqual(["web"]);
    const { store } = w.product().engine;
    expect(await store.readCondition("fleet")).toMatchObject({ ok: false });
    expect(await store.readBranch("fleet")).toMatchObject({ observed: merged, refused: merged, synced: first });
    await w.tree.pullMain();
    const second = await pushAs(w, ada, ["web", "db", "till"], "A till");
    expect(await w.final(second)).toMatchObject({ state: "success" });
    expect(await names(w)).toEqual(["db", "till", "web"]);
    expect(await store.readCondition("fleet")).toMatchObject({ ok: true });
    for (const commit of [first, merged, head, second]) expect(await finals(w, commit)).toHaveLength(1);
  });

  it("a plan says what must be signed, and shows what a merge on a refused tip carries out as well", async () => {
    const w = await openSigned();
    expect(await w.final(await pushAs(w, ada, ["web"], "Add the shop"))).toMatchObject({ state: "success" });
    expect(await w.final(await pushAs(w, undefined, ["web", "db"], "A database"))).toMatchObject({ state: "failure" });
    await w.tree.branch("idea");
    await w.commit({ "manifests/till.yaml": manifest("till", [{ name: "till" }]) }, "A till");
    await w.tree.push("idea");
    const number = await w.forge.openPullRequest("A till", "idea");
    const body = await waitFor(async () => (await w.forge.comments(number))[0]?.body, { what: "the plan" });
    expect(body).toContain("2 to create");
    expect(body).toMatch(/The tip of `main` was refused\*\* \(`[0-9a-f]{7}`: unsigned\)/);
    expect(body).toContain("**Only signed commits are synced**, and this head is not acceptable (unsigned)");
  });

  it("a refused tip is told once, also across restarts and without Redis, and nothing is made", async () => {
    const w = await openSigned();
    const eve = await sshSigner(folder.path, "eve@example.com");
    const commit = await pushAs(w, eve, ["web"], "Add the shop");
    const text = refused(`SSH key ${eve.fingerprint} is not allowed`);
    expect(await w.final(commit)).toMatchObject({ state: "failure", description: text });
    expect(text.length).toBeLessThanOrEqual(140);
    await w.product()[Symbol.asyncDispose]();
    await w.run();
    await w.polls(3);
    expect(await finals(w, commit)).toEqual([text]);
    const redis = new Redis({ path: await socketPathOf(join(w.config.dataDir, "redis")) });
    await redis.flushall();
    redis.disconnect();
    const { store } = w.product().engine;
    await waitFor(async () => ((await store.readBranch("fleet")).refused === commit ? true : undefined), {
      what: "the refusal",
    });
    await w.polls(3);
    await store.requestSync("fleet");
    await w.polls(3);
    expect(await finals(w, commit)).toEqual([text]);
    expect(await w.statuses(commit)).toHaveLength(1);
    expect(await names(w)).toEqual([]);
    expect(await store.listHistory("fleet", 9)).toMatchObject([{ revision: commit, verdict: { state: "failure" } }]);
  });

  it("a refused tip leaves the running sync alone, and people may ask for the accepted revision again", async () => {
    const w = await openSigned({ simulator: { taskMs: 150 } });
    const six = ["a", "b", "c", "d", "e", "f"];
    const first = await pushAs(w, ada, six, "Six VMs");
    await waitFor(async () => ((await names(w)).length > 0 ? true : undefined), { what: "a first VM" });
    const second = await pushAs(w, undefined, [], "Away with them");
    expect(await w.final(second)).toMatchObject({ state: "failure", description: refused("unsigned") });
    expect(await w.final(first)).toMatchObject({ state: "success" });
    expect(await names(w)).toEqual(six);
    const [vm] = (await w.hypercore("GET", "VirDomain")) as { uuid: string; description: string }[];
    await w.hypercore("PATCH", `VirDomain/${vm?.uuid}`, { description: "changed by hand" });
    await w.product().engine.store.requestSync("fleet");
    await waitFor(
      async () => {
        const vms = (await w.hypercore("GET", "VirDomain")) as { uuid: string; description: string }[];
        return vms.every(({ description }) => description !== "changed by hand") ? true : undefined;
      },
      { what: "the accepted revision" },
    );
    expect(await names(w)).toEqual(six);
    expect([await finals(w, first), await finals(w, second)].map(({ length }) => length)).toEqual([1, 1]);
  }, 90_000);

  it("a refused tip that is signed afterwards counts as no rewritten branch", async () => {
    const w = await openSigned();
    const first = await pushAs(w, ada, ["web", "db"], "Add the shop");
    expect(await w.final(first)).toMatchObject({ state: "success" });
    const bad = await pushAs(w, undefined, ["web"], "Without the database");
    expect(await w.final(bad)).toMatchObject({ state: "failure" });
    await signAs(w, ada);
    await w.tree.git("commit", "--quiet", "--amend", "--no-edit");
    const good = await w.tree.git("rev-parse", "HEAD");
    await w.tree.git("push", "--quiet", "--force", "origin", "main");
    expect(await w.final(good)).toMatchObject({ state: "success" });
    expect((await names(w)).filter((name) => !name.includes("quarantined"))).toEqual(["web"]);
    expect(await finals(w, bad)).toEqual([refused("unsigned")]);
  });

  it("nothing is synced while the keys are away, and what waited is synced when they are back", async () => {
    const w = await openSigned();
    const first = await pushAs(w, ada, ["web"], "Add the shop");
    expect(await w.final(first)).toMatchObject({ state: "success" });
    await rename(allowedSigners, `${allowedSigners}.away`);
    const second = await pushAs(w, ada, ["web", "db"], "A database");
    const { store } = w.product().engine;
    await waitFor(async () => ((await w.statuses(second)).length > 0 ? true : undefined), { what: "a word" });
    await w.polls(2);
    expect(await w.statuses(second)).toMatchObject([
      { state: "pending", description: "Held: signatures cannot be checked now, see kraken-gitops status" },
    ]);
    expect(await store.readCondition("fleet")).toMatchObject({
      ok: false,
      code: "signatures-unavailable",
      message: expect.stringContaining(`${allowedSigners} is not there`),
    });
    expect(await names(w)).toEqual(["web"]);
    await rename(`${allowedSigners}.away`, allowedSigners);
    expect(await w.final(second)).toMatchObject({ state: "success" });
    expect(await names(w)).toEqual(["db", "web"]);
  });

  it("a sync that was asked for while the keys are away is carried out when they are back", async () => {
    const w = await openSigned();
    expect(await w.final(await pushAs(w, ada, ["web"], "Add the shop"))).toMatchObject({ state: "success" });
    const [uuid = ""] = (await w.uuids()).values();
    const description = async () =>
      ((await w.hypercore("GET", `VirDomain/${uuid}`)) as { description: string }[])[0]?.description;
    const before = await description();
    await rename(allowedSigners, `${allowedSigners}.away`);
    await w.hypercore("PATCH", `VirDomain/${uuid}`, { description: "mine" });
    await waitFor(async () => ((await description()) === "mine" ? true : undefined), { what: "the change by hand" });
    const { store } = w.product().engine;
    await store.requestSync("fleet");
    await waitFor(async () => ((await store.readCondition("fleet"))?.ok === false ? true : undefined), {
      what: "a poll without keys",
    });
    await w.polls(2);
    expect(await description()).toBe("mine");
    await rename(`${allowedSigners}.away`, allowedSigners);
    await waitFor(async () => ((await description()) === before ? true : undefined), { what: "what git asks for" });
  });

  it("a key that is added to the file makes the waiting tip count; GPG keys do as well", async () => {
    await using home = await GpgHome.create(join(folder.path, "g"));
    const eve = await home.signer("Eve <eve@example.com>");
    const gpgKeys = join(folder.path, "keys.asc");
    await writeFile(gpgKeys, (await home.signer("Ada <ada@example.com>")).publicKey);
    const w = await open({ config: requiring(gpgKeys) });
    const commit = await pushAs(w, eve, ["web"], "Add the shop");
    expect(await w.final(commit)).toMatchObject({ state: "failure" });
    expect(await names(w)).toEqual([]);
    await writeFile(gpgKeys, await home.gpg(["--armor", "--export"]));
    await waitFor(async () => ((await w.statuses(commit)).at(-1)?.state === "success" ? true : undefined), {
      what: "the sync",
    });
    expect(await names(w)).toEqual(["web"]);
  });

  it("an approval counts only in a commit that is signed", async () => {
    const w = await openSigned();
    await signAs(w, ada);
    const five = ["a", "b", "c", "d", "e"];
    const till = { "manifests/till.yaml": manifest("till", [{ name: "till" }]) };
    const first = await w.push({ ...shop(five), ...till }, "Six VMs");
    expect(await w.final(first)).toMatchObject({ state: "success" });
    const losing = await w.push({ "manifests/shop.yaml": undefined }, "Away with them");
    expect((await w.final(losing)).description).toMatch(/^Waiting for approval/);
    const { store } = w.product().engine;
    const sync = await store.readSync((await store.readBranch("fleet")).currentSync ?? "");
    const id = sync?.record.deletions.approvalId ?? "";
    expect(id).toMatch(/^[0-9a-f]{12}$/);
    // Somebody's unsigned approval below a signed tip.
    await signAs(w, undefined);
    await w.tree.git("commit", "--quiet", "--allow-empty", "--message", `Approve\n\nKraken-Approve: ${id}`);
    await signAs(w, ada);
    await w.tree.git("commit", "--quiet", "--allow-empty", "--message", "Something else");
    await w.tree.push("main");
    const tip = await w.tree.git("rev-parse", "HEAD");
    expect((await w.final(tip)).description).toMatch(/^Waiting for approval/);
    expect(await names(w)).toEqual([...five, "till"]);
    await w.tree.git("commit", "--quiet", "--allow-empty", "--message", `Approve\n\nKraken-Approve: ${id}`);
    await w.tree.push("main");
    expect(await w.final(await w.tree.git("rev-parse", "HEAD"))).toMatchObject({ state: "success" });
    expect((await names(w)).filter((name) => !name.includes("quarantined"))).toEqual(["till"]);
  }, 90_000);
});
