import { createHash } from "node:crypto";
import { headerOf, type WebhookHeaders, type WebhookKind } from "./verify.ts";

/** What a genuine delivery is worth: `poll`, an answer to a `ping`, or nothing (`other`: events nobody needs). */
export type Meaning = "poll" | "ping" | "other";

/** Events after which a poll may find something. A header, so not signed: at worst a poll more or one later. */
const worth: Readonly<Record<WebhookKind, RegExp>> = {
  github: /^(push|create|delete|pull_request.*|issue_comment|merge_group|check_run|check_suite)$/,
  gitea: /^(push|create|delete|pull_request.*|issue_comment)$/,
  gitlab: /^(Push|Tag Push|Merge Request|Note|System) Hook$/,
  generic: /^/,
};
const eventHeaders: Readonly<Record<WebhookKind, readonly string[]>> = {
  github: ["x-github-event"],
  gitea: ["x-forgejo-event", "x-gitea-event", "x-gogs-event"],
  gitlab: ["x-gitlab-event"],
  generic: [],
};
/** Where the id of a delivery stands that is the same when it is delivered again. */
const idHeaders: Readonly<Record<WebhookKind, readonly string[]>> = {
  github: ["x-github-delivery"],
  gitea: ["x-forgejo-delivery", "x-gitea-delivery", "x-gogs-delivery"],
  gitlab: ["webhook-id", "idempotency-key", "x-gitlab-event-uuid"],
  generic: ["webhook-id", "idempotency-key"],
};

export function meaningOf(kind: WebhookKind, headers: WebhookHeaders): Meaning {
  const event = first(headers, eventHeaders[kind]) ?? "";
  if (event === "ping") return "ping";
  return worth[kind].test(event) ? "poll" : "other";
}

/**
 * Ids under which a delivery is remembered. Where the signature covers the body but not the id, the body is one as well,
 * so that a recorded delivery does not pass as a new one under another id. Without any id, generic ones are all new.
 */
export function deliveryIds(kind: WebhookKind, headers: WebhookHeaders, body: Buffer): readonly string[] {
  const id = first(headers, idHeaders[kind]);
  const named = id === undefined ? [] : [`id ${digest(id)}`];
  const signed = kind === "github" || kind === "gitea" || (kind === "gitlab" && id === undefined);
  return signed ? [...named, `body ${digest(body)}`] : named;
}

function first(headers: WebhookHeaders, names: readonly string[]): string | undefined {
  return names.map((name) => headerOf(headers, name)).find((value) => value !== undefined);
}

/** Short and of one length, whatever somebody sends. */
function digest(of: string | Buffer): string {
  return createHash("sha256").update(of).digest("base64url").slice(0, 27);
}
