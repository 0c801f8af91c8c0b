import type { IncomingMessage } from "node:http";
import type { Engine } from "../app/engine.ts";
import { WatcherError } from "../lib/errors.ts";
import { type Answer, answer } from "./answer.ts";
import { webhookKinds } from "./verify.ts";
import { createWebhookReceiver } from "./webhooks.ts";

export interface Route {
  readonly methods: readonly string[];
  /** Of the path, without the query. */
  readonly pattern: RegExp;
  answer(request: IncomingMessage, parts: readonly string[]): Promise<Answer>;
}

/** How long the store may take to prove that it is there. */
const readyMs = 2_000;

/** What the server answers. */
export function createRoutes(engine: Engine): readonly Route[] {
  const take = createWebhookReceiver(engine);
  return [
    { methods: ["GET", "HEAD"], pattern: /^\/healthz$/, answer: () => Promise.resolve(answer(200, "alive")) },
    { methods: ["GET", "HEAD"], pattern: /^\/readyz$/, answer: () => readiness(engine) },
    {
      methods: ["POST"],
      pattern: /^\/webhooks\/(github|gitlab|gitea|forgejo|generic)\/([^/]{1,300})$/,
      answer(request, [word = "", name = ""]) {
        const kind = webhookKinds.find((candidate) => candidate === word) ?? "gitea";
        return take(kind, decoded(name), request);
      },
    },
  ];
}

/** Alive is whoever answers; ready is who can also write down what a webhook wants. */
async function readiness({ store, clock }: Engine): Promise<Answer> {
  const over = new AbortController();
  const late = clock.sleep(readyMs, over.signal).then(
    () => "late" as const,
    () => "late" as const,
  );
  try {
    const first = await Promise.race([store.ping(), late]);
    return first === "late" ? notReady("the store does not answer in time") : answer(200, "ready");
  } catch (error) {
    return notReady(error instanceof WatcherError ? error.code : "internal");
  } finally {
    over.abort();
  }
}

function notReady(reason: string): Answer {
  return { status: 503, body: { status: "not ready", reason } };
}

/** A name that is no text is nobody's. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}
