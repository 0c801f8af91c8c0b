import { createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isGenuine, speaker, type WebhookHeaders, type WebhookKind, webhookKinds } from "./verify.ts";

const secret = "correct horse";
const body = Buffer.from('{"ref":"refs/heads/main"}');
const nowMs = 1_800_000_000_000;
const hex = (key: string, text: string | Buffer = body): string => createHmac("sha256", key).update(text).digest("hex");
const standardSecret = `whsec_${Buffer.from("signing key of GitLab").toString("base64")}`;

function standard(id: string, seconds: number, text: string | Buffer = body): string {
  const key = Buffer.from(standardSecret.slice(6), "base64");
  return createHmac("sha256", key).update(`${id}.${seconds}.`).update(text).digest("base64");
}

const github = (signature: WebhookHeaders[string]): WebhookHeaders => ({
  "x-github-event": "push",
  "x-hub-signature-256": signature,
});
const gitea = (signature: WebhookHeaders[string]): WebhookHeaders => ({
  "x-gitea-event": "push",
  "x-gogs-event": "push",
  "x-gitea-signature": signature,
  // Forgejo and Gitea send these too.
  ...github(`sha256=${String(signature)}`),
});
const gitlab = (more: WebhookHeaders): WebhookHeaders => ({ "x-gitlab-event": "Push Hook", ...more });
const nowS = nowMs / 1_000;
const signed = (id: string, seconds: number, signature: string): WebhookHeaders =>
  gitlab({ "webhook-id": id, "webhook-timestamp": `${seconds}`, "webhook-signature": signature });

type Row = readonly [title: string, kind: WebhookKind, headers: WebhookHeaders, secret?: string];

const genuine: readonly Row[] = [
  ["github", "github", github(`sha256=${hex(secret)}`)],
  ["gitea", "gitea", gitea(hex(secret))],
  ["forgejo", "gitea", { "x-forgejo-event": "push", "x-forgejo-signature": hex(secret) }],
  ["gitlab with the plain token", "gitlab", gitlab({ "x-gitlab-token": secret })],
  ["gitlab with a signing token", "gitlab", signed("a", nowS, `v1,${standard("a", nowS)}`), standardSecret],
  [
    "gitlab while its token is being changed",
    "gitlab",
    signed("a", nowS - 200, `v1,AAAA v1,${standard("a", nowS - 200)}`),
    standardSecret,
  ],
  ["generic", "generic", { authorization: `Bearer secret-token` }, "secret-token"],
  ["generic in lower case", "generic", { authorization: `bearer  secret-token ` }, "secret-token"],
];

const forged: readonly Row[] = [
  ["github without a signature", "github", { "x-github-event": "push" }],
  ["github with an empty signature", "github", github("sha256=")],
  ["github with the SHA-1 signature only", "github", { "x-github-event": "push", "x-hub-signature": "sha1=00" }],
  ["github with bare hex", "github", github(hex(secret))],
  ["github with another secret", "github", github(`sha256=${hex("other")}`)],
  ["github with a part of the signature", "github", github(`sha256=${hex(secret).slice(0, 62)}`)],
  ["github with a signature twice", "github", github([`sha256=${hex(secret)}`, `sha256=${hex(secret)}`])],
  ["github with the signature of another body", "github", github(`sha256=${hex(secret, "{}")}`)],
  ["github with an empty secret", "github", github(`sha256=${hex("")}`), ""],
  ["gitea at the address for github", "github", gitea(hex(secret))],
  ["github at the address for gitea", "gitea", github(`sha256=${hex(secret)}`)],
  ["gitea without a secret of its own", "gitea", gitea("")],
  ["gitea with GitHub's prefix", "gitea", gitea(`sha256=${hex(secret)}`)],
  ["gitea with an empty secret", "gitea", gitea(hex("")), ""],
  ["gitlab without a token", "gitlab", gitlab({})],
  ["gitlab with an empty token", "gitlab", gitlab({ "x-gitlab-token": "" }), ""],
  ["gitlab with another token", "gitlab", gitlab({ "x-gitlab-token": "other" })],
  [
    "gitlab with a plain token in place of a signature",
    "gitlab",
    gitlab({ "x-gitlab-token": standardSecret }),
    standardSecret,
  ],
  ["gitlab signed long ago", "gitlab", signed("a", nowS - 301, `v1,${standard("a", nowS - 301)}`), standardSecret],
  ["gitlab signed in the future", "gitlab", signed("a", nowS + 301, `v1,${standard("a", nowS + 301)}`), standardSecret],
  ["gitlab signed under another id", "gitlab", signed("b", nowS, `v1,${standard("a", nowS)}`), standardSecret],
  ["gitlab signed with another version", "gitlab", signed("a", nowS, `v2,${standard("a", nowS)}`), standardSecret],
  ["gitlab with an empty signing key", "gitlab", signed("a", nowS, "v1,"), "whsec_"],
  ["gitlab at the address for github", "github", gitlab({ "x-gitlab-token": secret })],
  ["generic without a token", "generic", {}],
  ["generic with an empty token", "generic", { authorization: "Bearer " }, ""],
  ["generic with another token", "generic", { authorization: "Bearer other" }, "secret-token"],
  ["generic with a password", "generic", { authorization: "Basic secret-token" }, "secret-token"],
  [
    "github at the generic address",
    "generic",
    { ...github("sha256="), authorization: "Bearer secret-token" },
    "secret-token",
  ],
];

describe("who knows the secret", () => {
  it.each(genuine.map((row) => ({ row, title: row[0] })))(
    "takes $title",
    ({ row: [, kind, headers, key = secret] }) => {
      expect(isGenuine(kind, key, { headers, body, nowMs })).toBe(true);
    },
  );

  it.each(forged.map((row) => ({ row, title: row[0] })))(
    "refuses $title",
    ({ row: [, kind, headers, key = secret] }) => {
      expect(isGenuine(kind, key, { headers, body, nowMs })).toBe(false);
    },
  );

  it("refuses every genuine delivery for any other secret, and with any change of a signed body", () => {
    fc.assert(
      fc.property(fc.nat(genuine.length - 1), fc.string(), fc.uint8Array(), (index, other, bytes) => {
        const [title, kind, headers, key = secret] = genuine[index] as Row;
        fc.pre(other !== key && !Buffer.from(bytes).equals(body));
        expect(isGenuine(kind, other, { headers, body, nowMs })).toBe(false);
        const bearer = kind === "generic" || title === "gitlab with the plain token";
        expect(isGenuine(kind, key, { headers, body: Buffer.from(bytes), nowMs })).toBe(bearer);
      }),
    );
  });

  it("never throws, whatever headers come", () => {
    const names = [
      "x-github-event",
      "x-hub-signature-256",
      "x-gitlab-event",
      "x-gitlab-token",
      "x-gitea-event",
    ] as const;
    const more = [
      "x-gitea-signature",
      "webhook-id",
      "webhook-timestamp",
      "webhook-signature",
      "authorization",
    ] as const;
    const headers = fc.dictionary(fc.constantFrom(...names, ...more), fc.oneof(fc.string(), fc.array(fc.string())));
    fc.assert(
      fc.property(
        headers,
        fc.constantFrom(...webhookKinds),
        fc.constantFrom(secret, standardSecret),
        (given, kind, key) => {
          expect(isGenuine(kind, key, { headers: given, body, nowMs })).toBe(false);
        },
      ),
    );
  });

  it("asks for Gitea before GitHub", () => {
    expect(speaker(gitea(""))).toBe("gitea");
    expect(speaker({ "x-github-event": "push", "x-forgejo-event": "push" })).toBe("gitea");
    expect(speaker(github(undefined))).toBe("github");
    expect(speaker(gitlab({}))).toBe("gitlab");
    expect(speaker({})).toBe("generic");
  });
});
