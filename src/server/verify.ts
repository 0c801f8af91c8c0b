import { createHash, createHmac, timingSafeEqual } from "node:crypto";

/** How a forge says that a delivery is from it. `gitea` is Forgejo's way too. */
export const webhookKinds = ["github", "gitlab", "gitea", "generic"] as const;
export type WebhookKind = (typeof webhookKinds)[number];

/** Names in lower case, as node:http gives them. */
export type WebhookHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

export interface SignedDelivery {
  readonly headers: WebhookHeaders;
  /** The bytes as they came: a signature covers them and not what they mean. */
  readonly body: Buffer;
  readonly nowMs: number;
}

/** How far a signed time may be from ours (Standard Webhooks). */
const toleranceMs = 5 * 60_000;

type Check = (secret: string, delivery: SignedDelivery) => boolean;

const checks: Readonly<Record<WebhookKind, Check>> = {
  github: (secret, delivery) =>
    equalsHmac(secret, delivery.body, signatureOf(delivery, "x-hub-signature-256", "sha256=")),
  gitea: (secret, delivery) =>
    equalsHmac(
      secret,
      delivery.body,
      signatureOf(delivery, "x-gitea-signature") ?? signatureOf(delivery, "x-forgejo-signature"),
    ),
  gitlab: (secret, delivery) =>
    secret.startsWith("whsec_")
      ? isStandardWebhook(secret.slice("whsec_".length), delivery)
      : equalsText(secret, headerOf(delivery.headers, "x-gitlab-token")),
  generic: (secret, { headers }) =>
    equalsText(secret, /^bearer +(\S+) *$/i.exec(headerOf(headers, "authorization") ?? "")?.[1]),
};

/** Whether a delivery knows the secret. Takes as long for a wrong secret as for the right one; an empty one never passes. */
export function isGenuine(kind: WebhookKind, secret: string, delivery: SignedDelivery): boolean {
  return secret !== "" && speaker(delivery.headers) === kind && checks[kind](secret, delivery);
}

/**
 * Whose tongue a delivery speaks. Gitea and Forgejo also send GitHub's headers, so they are asked for first. What
 * names no forge is generic.
 */
export function speaker(headers: WebhookHeaders): WebhookKind {
  const has = (name: string): boolean => headerOf(headers, name) !== undefined;
  if (has("x-forgejo-event") || has("x-gitea-event") || has("x-gogs-event")) return "gitea";
  if (has("x-github-event")) return "github";
  if (has("x-gitlab-event")) return "gitlab";
  return "generic";
}

/** The one value of a header; undefined when it is missing, empty, or came several times. */
export function headerOf(headers: WebhookHeaders, name: string): string | undefined {
  const value = headers[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** 32 bytes in hex after a prefix. */
function signatureOf({ headers }: SignedDelivery, name: string, prefix = ""): Buffer | undefined {
  const value = headerOf(headers, name);
  if (value === undefined || !value.startsWith(prefix)) return undefined;
  const hex = value.slice(prefix.length);
  return /^[0-9a-fA-F]{64}$/.test(hex) ? Buffer.from(hex, "hex") : undefined;
}

function equalsHmac(secret: string | Buffer, signed: string | Buffer, given: Buffer | undefined): boolean {
  const expected = createHmac("sha256", secret).update(signed).digest();
  return given !== undefined && given.length === expected.length && timingSafeEqual(expected, given);
}

/** Compares digests: texts of different length take as long. */
function equalsText(secret: string, given: string | undefined): boolean {
  return timingSafeEqual(digest(secret), digest(given ?? "")) && given !== undefined;
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/** `webhook-signature: v1,BASE64 v1,BASE64` over id, time and body; several while a secret is being changed. */
function isStandardWebhook(secret: string, { headers, body, nowMs }: SignedDelivery): boolean {
  const id = headerOf(headers, "webhook-id");
  const timestamp = headerOf(headers, "webhook-timestamp");
  const key = Buffer.from(secret, "base64");
  const signed = Buffer.concat([Buffer.from(`${id ?? ""}.${timestamp ?? ""}.`), body]);
  const given = (headerOf(headers, "webhook-signature") ?? "").split(" ").slice(0, 8);
  const matches = given.filter((one) => {
    const base64 = one.startsWith("v1,") ? one.slice(3) : undefined;
    return equalsHmac(key, signed, base64 === undefined ? undefined : Buffer.from(base64, "base64"));
  });
  const atMs = /^\d{1,12}$/.test(timestamp ?? "") ? Number(timestamp) * 1_000 : Number.NaN;
  return key.length > 0 && id !== undefined && matches.length > 0 && Math.abs(nowMs - atMs) <= toleranceMs;
}
