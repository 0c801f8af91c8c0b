import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import { answerCommands } from "../../src/app/review/answer-commands.ts";
import { createCourier } from "../../src/app/outbox/deliver-outbox.ts";
import { useWorld } from "../support/use-world.ts";
import { waitFor } from "../support/wait-for.ts";
import { manifest, type World } from "../support/world.ts";

const open = useWorld();
vi.setConfig({ testTimeout: 180_000 });
const six = ["a", "b", "c", "d", "e", "f"];
const shop = (names: readonly string[]): Record<string, string> => ({
  "manifests/shop.yaml": manifest(
    "shop",
    names.map((name) => ({ name })),
  ),
});

async function call(w: World, login: string, method: "GET" | "POST", path: string, body?: object): Promise<unknown> {
  const forge = w.config.repositories[0]?.forge;
  const answer = await fetch(`${forge?.type === "github" ? forge.apiUrl : ""}/repos/${path}`, {
    method,
    headers: { authorization: `Bearer ${login}-token`, "user-agent": "test" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

async function say(w: World, login: string, pull: number, body: string): Promise<number> {
  return ((await call(w, login, "POST", `acme/fleet/issues/${pull}/comments`, { body })) as { id: number }).id;
}

async function reactions(w: World, comment: number): Promise<string[]> {
  const found = await call(w, "alice", "GET", `acme/fleet/issues/comments/${comment}/reactions`);
  return (found as { content: string }[]).map(({ content }) => content);
}

function receipt(w: World, comment: number, wanted: string): Promise<string[]> {
  return waitFor(
    async () => {
      const found = await reactions(w, comment);
      return found.includes(wanted) ? found : undefined;
    },
    { what: `the reaction ${wanted}` },
  );
}

async function ours(w: World, pull: number): Promise<string[]> {
  return (await w.forge.comments(pull)).filter(({ author }) => author === "kraken-bot").map(({ body }) => body);
}

function told(w: World, pull: number, wanted: RegExp): Promise<string> {
  return waitFor(async () => (await ours(w, pull)).find((body) => wanted.test(body)), {
    what: `a comment with ${wanted}`,
    describe: async () => JSON.stringify(await ours(w, pull)),
  });
}

/** A pull request that takes five of six VMs away, with its plan shown. */
async function openLoss(w: World): Promise<{ pull: number; head: string; plan: string }> {
  await w.final(await w.push(shop(six), "Six VMs"));
  await w.tree.branch("fewer");
  const head = await w.commit(shop(["a"]), "One VM");
  await w.tree.push("fewer");
  const pull = await w.forge.openPullRequest("One VM", "fewer");
  return { pull, head, plan: await told(w, pull, /Nothing will be deleted without an approval/) };
}

/** VMs that a manifest asks for: those that were taken away are off, in quarantine. */
async function kept(w: World): Promise<readonly string[]> {
  return (await w.vms()).filter(({ state }) => state === "RUNNING").map(({ name }) => name);
}

describe("approval by comment", () => {
  it("lets exactly the losses that were shown happen", async () => {
    const w = await open();
    const { pull, plan } = await openLoss(w);
    expect(plan).toMatch(/`\/kraken approve [0-9a-f]{12}`/);
    const comment = await say(w, "alice", pull, "I have asked around.\n\n/kraken approve");
    expect((await receipt(w, comment, "+1")).sort()).toEqual(["+1", "eyes"]);
    await told(w, pull, /The loss of data on 5 VMs is approved\*\*\n> - By `alice` on /);
    const merged = await w.forge.merge(pull);
    expect(await w.final(merged)).toMatchObject({ state: "success" });
    expect(await kept(w)).toEqual(["a"]);
    const [entry] = await w.product().engine.store.listHistory("fleet", 1);
    expect(entry?.approval).toMatchObject({ by: "alice", place: `pull request ${pull}` });
    expect(await ours(w, pull)).toHaveLength(1);
  });

  it("comes in time after the merge, too", async () => {
    const w = await open();
    const { pull } = await openLoss(w);
    const merged = await w.forge.merge(pull);
    expect(await w.final(merged)).toMatchObject({
      state: "failure",
      description: expect.stringMatching(/comment \/kraken approve/),
    });
    await receipt(w, await say(w, "alice", pull, "/kraken approve"), "+1");
    await waitFor(async () => ((await kept(w)).length === 1 ? true : undefined), { what: "the losses" });
    expect(await w.final(merged)).toMatchObject({ state: "success" });
  });

  it("holds for what was shown and nothing else", async () => {
    const w = await open();
    const { pull, plan } = await openLoss(w);
    const planId = /plan `([0-9a-f]{12})`/.exec(plan)?.[1] ?? "";
    const wrong = await say(w, "alice", pull, "/kraken approve 123456789abc");
    await receipt(w, wrong, "confused");
    expect(await told(w, pull, /is not what would be lost now/)).toContain(`The plan now is \`${planId}\``);
    await receipt(w, await say(w, "alice", pull, `/kraken approve ${planId}`), "+1");
    await told(w, pull, /is approved/);
    const next = await w.commit(shop(["b"]), "Another VM");
    await w.tree.push("fewer");
    const changed = await told(w, pull, /no longer holds/);
    expect(changed).toContain(`The approval of plan \`${planId}\` by \`alice\``);
    expect(changed).toContain(next.slice(0, 7));
    expect(await w.final(await w.forge.merge(pull))).toMatchObject({ state: "failure" });
    expect(await w.vms()).toHaveLength(6);
  });

  it("is refused where nothing is lost", async () => {
    const w = await open();
    await w.tree.branch("first");
    await w.commit(shop(["a"]), "One VM");
    await w.tree.push("first");
    const pull = await w.forge.openPullRequest("One VM", "first");
    await told(w, pull, /1 to create/);
    await receipt(w, await say(w, "alice", pull, "/kraken approve"), "-1");
    await told(w, pull, /loses no data/);
  });
});

describe("who is heard", () => {
  it("does nothing for strangers, and answers them once", async () => {
    const w = await open();
    const { pull } = await openLoss(w);
    for (const body of ["/kraken approve", "/kraken plan", "/kraken help"])
      expect(await receipt(w, await say(w, "mallory", pull, body), "-1")).toEqual(["-1"]);
    await told(w, pull, /`mallory` may not push/);
    expect(await ours(w, pull)).toHaveLength(2);
    expect(await w.product().engine.store.listApprovals("fleet")).toEqual([]);
  });

  it("asks at that moment who may write", async () => {
    const w = await open();
    const { pull } = await openLoss(w);
    await w.control(w.forgeUrl, "POST", "permissions", {
      repository: "acme/fleet",
      login: "mallory",
      permission: "write",
    });
    await receipt(w, await say(w, "mallory", pull, "/kraken help"), "+1");
    await w.control(w.forgeUrl, "POST", "permissions", {
      repository: "acme/fleet",
      login: "mallory",
      permission: "read",
    });
    await receipt(w, await say(w, "mallory", pull, "/kraken approve"), "-1");
    expect(await w.product().engine.store.listApprovals("fleet")).toEqual([]);
  });

  it("hears nothing in quoted text, nor in its own", async () => {
    const w = await open();
    const { pull, plan } = await openLoss(w);
    const quoted = [
      "> /kraken approve",
      "```\n/kraken approve\n```",
      "<!--\n/kraken approve\n-->",
      `You may say:\n\n${plan
        .split("\n")
        .map((line) => `> ${line}`)
        .join("\n")}`,
      plan,
    ];
    const comments: number[] = [];
    for (const body of quoted) comments.push(await say(w, "alice", pull, body));
    await receipt(w, await say(w, "alice", pull, "/kraken aprove"), "confused");
    await told(w, pull, /`\/kraken aprove` is no command/);
    for (const comment of comments) expect(await reactions(w, comment)).toEqual([]);
    expect(await w.product().engine.store.listApprovals("fleet")).toEqual([]);
  });
});

describe("a restart", () => {
  it("answers nothing twice, and what was said meanwhile once", async () => {
    const w = await open();
    const { pull } = await openLoss(w);
    const before = await say(w, "alice", pull, "/kraken help");
    await receipt(w, before, "+1");
    await told(w, pull, /Commands, at the beginning of a line/);
    await w.product()[Symbol.asyncDispose]();
    const meanwhile = await say(w, "alice", pull, "/kraken help");
    await w.run();
    await receipt(w, meanwhile, "+1");
    await waitFor(async () => ((await ours(w, pull)).length === 3 ? true : undefined), { what: "the second answer" });
    await w.polls(3);
    expect(await ours(w, pull)).toHaveLength(3);
    expect((await reactions(w, before)).sort()).toEqual(["+1", "eyes"]);
  });

  it("repeats what a crash cut off before it was written down, without a trace", async () => {
    const w = await open({ idle: true });
    const engine = await w.engine();
    const repository = await engine.repository("fleet");
    const { signal } = new AbortController();
    await answerCommands(engine, repository, signal);
    await w.tree.branch("first");
    await w.commit(shop(["a"]), "One VM");
    await w.tree.push("first");
    const pull = await w.forge.openPullRequest("One VM", "first");
    const comment = await say(w, "alice", pull, "/kraken help\n/kraken what");
    const dying = { ...engine, store: { ...engine.store, recordAnswered: () => Promise.reject(new Error("killed")) } };
    const courier = createCourier(engine);
    for (const one of [dying, dying, engine, engine]) {
      await answerCommands(one, repository, signal);
      await courier.deliver({ schemaVersion: 1, repository: "fleet" }, signal);
    }
    expect((await reactions(w, comment)).sort()).toEqual(["+1", "confused", "eyes"]);
    expect(await ours(w, pull)).toHaveLength(1);
  });

  it("hears nothing that was said before it first looked", async () => {
    const w = await open({ idle: true });
    await w.tree.branch("first");
    await w.commit(shop(["a"]), "One VM");
    await w.tree.push("first");
    const pull = await w.forge.openPullRequest("One VM", "first");
    const early = await say(w, "alice", pull, "/kraken help");
    await sleep(1_100);
    await w.run();
    await told(w, pull, /1 to create/);
    await receipt(w, await say(w, "alice", pull, "/kraken help"), "+1");
    expect(await reactions(w, early)).toEqual([]);
  });
});

describe("a fork", () => {
  it("is planned in full for the commit somebody with write access has seen", async () => {
    const w = await open();
    await w.final(await w.push(shop(["a"]), "One VM"));
    await call(w, "mallory", "POST", "acme/fleet/forks", {});
    const address = `${w.forgeUrl.replace("://", "://mallory:mallory-token@")}/mallory/fleet.git`;
    const push = () =>
      w.tree.git("-c", "http.extraHeader=", "push", "--quiet", "--force", address, "HEAD:refs/heads/idea");
    await w.commit(shop(["a", "b"]), "A second VM");
    await push();
    const { number: pull } = (await call(w, "mallory", "POST", "acme/fleet/pulls", {
      title: "A second VM",
      head: "mallory:idea",
      base: "main",
    })) as { number: number };
    await told(w, pull, /No cluster was asked/);
    await receipt(w, await say(w, "mallory", pull, "/kraken plan"), "-1");
    expect(await receipt(w, await say(w, "alice", pull, "/kraken plan"), "eyes")).toEqual(["eyes"]);
    expect(await told(w, pull, /was planned in full/)).not.toMatch(/No cluster was asked/);
    const next = await w.commit(shop(["a", "b", "c"]), "A third VM");
    await push();
    expect(await told(w, pull, /No cluster was asked/)).toContain(next.slice(0, 7));
  });
});
