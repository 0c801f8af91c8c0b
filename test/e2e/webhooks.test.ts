import { createHmac } from "node:crypto";
import { afterEach, describe, expect, it } from "vitest";
import { lookUpRepository } from "../../src/app/inspect/look-up.ts";
import { waitFor } from "../support/wait-for.ts";
import { openWebhookLab, type WebhookLab, webhookSecret } from "../support/webhook-lab.ts";
import { manifest, type WorldOptions } from "../support/world.ts";

let lab: WebhookLab | undefined;
afterEach(async () => {
  await lab?.[Symbol.asyncDispose]();
  lab = undefined;
});

async function open(options: WorldOptions = {}): Promise<WebhookLab> {
  lab = await openWebhookLab(options);
  return lab;
}

const shop = (cpu: number) => ({ "manifests/shop.yaml": manifest("shop", [{ name: "web", cpu }]) });
const counts = (l: WebhookLab) => l.w.product().engine.store.readWebhooks("fleet");

describe("webhooks, with a poll every ten minutes", () => {
  it("a push is synced at once", async () => {
    const l = await open();
    await l.w.push({ "README.md": "begin\n" }, "Begin");
    await l.hook();
    await l.w.product().engine.store.requestSync("fleet");
    await l.quiet();
    const pushedMs = Date.now();
    const commit = await l.w.push(shop(1), "Add the shop");
    const { record } = await waitFor(
      async () => {
        const { sync } = await lookUpRepository(l.w.product().engine, "fleet");
        return sync?.record.revision === commit ? sync : undefined;
      },
      { what: "the sync" },
    );
    expect(record.startedAtMs - pushedMs).toBeLessThan(60_000);
    expect(await l.w.final(commit)).toMatchObject({ state: "success" });
    expect((await counts(l)).received).toBeGreaterThan(0);
    expect((await counts(l)).missed).toBe(0);
  });

  it("a pull request is planned at once, and so is its next head", async () => {
    const l = await open();
    await l.hook();
    await l.w.final(await l.w.push(shop(1), "Add the shop"));
    await l.quiet();
    await l.w.tree.branch("topic");
    const first = await l.w.commit(shop(2), "More");
    await l.w.tree.push("topic");
    const number = await l.w.forge.openPullRequest("More", "topic");
    expect(await l.w.final(first, "kraken-gitops/plan")).toMatchObject({ state: "success" });
    const second = await l.w.commit(shop(4), "Even more");
    await l.w.tree.push("topic");
    expect(await l.w.final(second, "kraken-gitops/plan")).toMatchObject({ state: "success" });
    const merged = await l.w.forge.merge(number);
    expect(await l.w.final(merged, "kraken-gitops/sync")).toMatchObject({ state: "success" });
    expect(await l.w.cpus()).toEqual([4]);
  });

  it("forged and replayed deliveries do nothing", async () => {
    const l = await open();
    const hook = await l.hook();
    await l.w.final(await l.w.push(shop(1), "Add the shop"));
    await l.quiet();
    const [before, polledAt] = [await counts(l), await l.polledAt()];

    const send = (name: string, body: string, signature: string, id = "forged"): Promise<Response> =>
      fetch(`${l.serverUrl}/webhooks/github/${name}`, {
        method: "POST",
        headers: { "x-github-event": "push", "x-github-delivery": id, "x-hub-signature-256": signature },
        body,
      });
    const sign = (key: string, body: string): string =>
      `sha256=${createHmac("sha256", key).update(body).digest("hex")}`;
    const refused = [
      await send("fleet", "{}", sign("guess", "{}")),
      await send("fleet", "{}", "sha256="),
      await send("elsewhere", "{}", sign(webhookSecret, "{}")),
    ];
    const answers = await Promise.all(refused.map(async (each) => `${each.status} ${await each.text()}`));
    expect(new Set(answers)).toEqual(new Set(['401 {"status":"refused"}\n']));

    const pushed = (await l.deliveries(hook)).find(({ event }) => event === "push");
    await l.redeliver(hook, pushed?.id ?? 0);
    await waitFor(async () => ((await l.deliveries(hook)).some((each) => each.redelivery) ? true : undefined), {
      what: "the delivery to be repeated",
    });
    expect((await l.deliveries(hook))[0]).toMatchObject({ redelivery: true, status_code: 202, guid: pushed?.guid });
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await counts(l)).toEqual({ ...before, ignored: before.ignored + 1 });
    expect(await l.polledAt()).toBe(polledAt);

    // The same bytes under another id are the same delivery; something new with the right signature is not.
    const body = '{"anything":"at all"}';
    expect(await (await send("fleet", body, sign(webhookSecret, body), "one")).json()).toEqual({ status: "accepted" });
    expect(await (await send("fleet", body, sign(webhookSecret, body), "two")).json()).toEqual({ status: "ignored" });
    await waitFor(async () => ((await l.polledAt()) > polledAt ? true : undefined), { what: "the poll" });
    expect(l.log.text()).not.toContain(webhookSecret);
  });

  it("a sync that somebody asks for begins at once", async () => {
    const l = await open();
    const commit = await l.w.push(shop(1), "Add the shop");
    await l.w.product().engine.store.requestSync("fleet");
    expect(await l.w.final(commit, "kraken-gitops/sync")).toMatchObject({ state: "success" });
  });
});

describe("a webhook that is lost", () => {
  it("is healed by the poll, told and counted", async () => {
    const l = await open({ pollMs: 1_000 });
    const hook = await l.hook();
    await l.w.final(await l.w.push(shop(1), "Add the shop"));
    expect((await counts(l)).missed).toBe(0);
    await l.point(hook, "http://127.0.0.1:9/webhooks/github/fleet");
    // Longer than two polls: what was delivered before announces nothing any more.
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    const commit = await l.w.push(shop(2), "Change the shop");
    expect(await l.w.final(commit)).toMatchObject({ state: "success" });
    await waitFor(async () => ((await counts(l)).missed > 0 ? true : undefined), {
      what: "the missed webhook to be counted",
      timeoutMs: 30_000,
    });
    expect(await counts(l)).toMatchObject({ missed: 1 });
    await l.log.says(new RegExp(`"revision":"${commit}".*a poll found what no webhook announced`));
  });
});
