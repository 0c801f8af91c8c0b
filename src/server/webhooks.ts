import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { RepositoryConfig } from "../config/config.ts";
import type { Engine } from "../app/engine.ts";
import { messageOf } from "../lib/errors.ts";
import { type Answer, answer } from "./answer.ts";
import { deliveryIds, meaningOf } from "./delivery.ts";
import { createQuiet, createRates } from "./rate.ts";
import { readBody } from "./read-body.ts";
import { isGenuine, speaker, type WebhookKind } from "./verify.ts";

/** Far more than pushes and pull requests need. A larger one is lost, which costs the wait for the next poll. */
export const maxBodyBytes = 5 * 2 ** 20;
/** Bodies held at once: bounds the memory strangers can take. */
const maxOpen = 16;
/** Genuine deliveries of one repository. Polls are no more than one at a time whatever comes. */
const pace = { burst: 120, perSecond: 10 };
const quietMs = 60_000;

/** Forge types with a kind of their own; those without may use any. `generic` is open to all. */
const kindOfForge: Readonly<Record<string, WebhookKind>> = {
  github: "github",
  gitlab: "gitlab",
  gitea: "gitea",
  forgejo: "gitea",
};

export type WebhookReceiver = (kind: WebhookKind, name: string, request: IncomingMessage) => Promise<Answer>;

/**
 * Takes deliveries: whoever knows the secret may hurry a poll, and nothing else of what was sent is believed. An unknown
 * repository, one without a secret and a wrong signature are answered alike.
 */
export function createWebhookReceiver(engine: Engine): WebhookReceiver {
  const { clock, log, store } = engine;
  const now = (): number => clock.now();
  const rates = createRates(pace, now);
  const quietly = createQuiet(quietMs, now);
  /** Stands in for the secret of a repository that has none, so that the answer takes as long. */
  const nobodys = randomBytes(32).toString("hex");
  let open = 0;

  async function take(kind: WebhookKind, name: string, request: IncomingMessage): Promise<Answer> {
    const body = await readBody(request, maxBodyBytes);
    if (body === "too-large")
      return { ...answer(413, `larger than ${maxBodyBytes / 2 ** 20} MiB; the next poll finds it`), close: true };
    const repository = engine.config().repositories.find((candidate) => candidate.name === name);
    const secret = repository === undefined ? undefined : await secretOf(repository, kind);
    const genuine = isGenuine(kind, secret ?? nobodys, { headers: request.headers, body, nowMs: now() });
    if (repository === undefined || secret === undefined || !genuine) return refuse(kind, name, repository, request);
    if (!rates.take(name)) return answer(429, "too many deliveries", { "retry-after": "10" });
    const meaning = meaningOf(kind, request.headers);
    if (meaning !== "poll") {
      await store.countWebhooks(name, "ignored", 1);
      return answer(202, meaning === "ping" ? "pong" : "ignored");
    }
    const taken = await store.takeDelivery(name, deliveryIds(kind, request.headers, body));
    log.debug({ repository: name, kind, replay: !taken }, "webhook received");
    return answer(202, taken ? "accepted" : "ignored");
  }

  /** Undefined when deliveries of this kind are none of this repository's. */
  async function secretOf(repository: RepositoryConfig, kind: WebhookKind): Promise<string | undefined> {
    const own = kindOfForge[repository.forge.type];
    const allowed = kind === "generic" || kind === own || repository.forge.type === "none";
    if (!allowed || repository.webhookSecret === undefined) return undefined;
    try {
      return await repository.webhookSecret.read();
    } catch (error) {
      quietly(`secret ${repository.name}`, () =>
        log.error(
          { repository: repository.name, reason: messageOf(error) },
          "webhooks are refused without their secret",
        ),
      );
      return undefined;
    }
  }

  function refuse(
    kind: WebhookKind,
    name: string,
    repository: RepositoryConfig | undefined,
    request: IncomingMessage,
  ): Answer {
    const spoken = speaker(request.headers);
    const reason =
      repository === undefined
        ? "no such repository"
        : repository.webhookSecret === undefined
          ? "the repository has no webhookSecretFile"
          : spoken !== kind
            ? `the delivery is of kind ${spoken}`
            : "wrong or missing signature, or not the kind of its forge";
    // One entry for all names that nobody configured, or strangers could fill the memory.
    quietly(repository === undefined ? "unknown" : `refused ${repository.name}`, (held) =>
      log.warn(
        { repository: name.slice(0, 100), kind, from: request.socket.remoteAddress, reason, heldBack: held },
        "webhook refused",
      ),
    );
    return answer(401, "refused");
  }

  return async (kind, name, request) => {
    if (open >= maxOpen) return { ...answer(503, "busy", { "retry-after": "1" }), close: true };
    open += 1;
    try {
      return await take(kind, name, request);
    } finally {
      open -= 1;
    }
  };
}
