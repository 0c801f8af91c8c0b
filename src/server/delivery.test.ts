import { describe, expect, it } from "vitest";
import { deliveryIds, type Meaning, meaningOf } from "./delivery.ts";
import type { WebhookHeaders, WebhookKind } from "./verify.ts";

const body = Buffer.from("{}");

describe("what a delivery means", () => {
  it.each<readonly [WebhookKind, string, string, Meaning]>([
    ["github", "x-github-event", "push", "poll"],
    ["github", "x-github-event", "pull_request", "poll"],
    ["github", "x-github-event", "pull_request_review", "poll"],
    ["github", "x-github-event", "issue_comment", "poll"],
    ["github", "x-github-event", "ping", "ping"],
    ["github", "x-github-event", "star", "other"],
    ["github", "x-github-event", "status", "other"],
    ["gitea", "x-gitea-event", "pull_request_sync", "poll"],
    ["gitea", "x-forgejo-event", "push", "poll"],
    ["gitea", "x-gitea-event", "release", "other"],
    ["gitlab", "x-gitlab-event", "Push Hook", "poll"],
    ["gitlab", "x-gitlab-event", "Merge Request Hook", "poll"],
    ["gitlab", "x-gitlab-event", "Note Hook", "poll"],
    ["gitlab", "x-gitlab-event", "Pipeline Hook", "other"],
    ["generic", "x-anything", "at all", "poll"],
  ])("%s, %s: %s is %s", (kind, header, event, meaning) => {
    expect(meaningOf(kind, { [header]: event })).toBe(meaning);
  });
});

describe("ids of a delivery", () => {
  const ids = (kind: WebhookKind, headers: WebhookHeaders, text: Buffer = body): readonly string[] =>
    deliveryIds(kind, headers, text);

  it("are the forge's id, and the body where the signature does not cover the id", () => {
    const [id, content] = ids("github", { "x-github-delivery": "1" });
    expect(ids("github", { "x-github-delivery": "2" })).toEqual([expect.not.stringMatching(id ?? ""), content]);
    expect(ids("github", { "x-github-delivery": "1" }, Buffer.from("[]"))[0]).toBe(id);
    expect(ids("gitea", { "x-gitea-delivery": "1" })).toEqual([id, content]);
    expect(ids("gitea", {})).toEqual([content]);
  });

  it("prefer what GitLab keeps over its own attempts, and fall back to the body", () => {
    const [key] = ids("generic", { "idempotency-key": "k" });
    expect(ids("gitlab", { "idempotency-key": "k", "x-gitlab-event-uuid": "u" })).toEqual([key]);
    expect(ids("gitlab", { "x-gitlab-event-uuid": "k" })).toEqual([key]);
    expect(ids("gitlab", {})).toEqual(ids("github", {}));
  });

  it("are none for a generic delivery without a key: each is new", () => {
    expect(ids("generic", {})).toEqual([]);
  });

  it("are short, whatever is sent", () => {
    for (const id of ids("github", { "x-github-delivery": "x".repeat(10_000) })) expect(id.length).toBeLessThan(40);
  });
});
