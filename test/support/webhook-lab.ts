import { startHttpServer } from "../../src/server/http-server.ts";
import { openRecorded, type RecordedLog } from "./recorded-log.ts";
import { waitFor } from "./wait-for.ts";
import { secret, type World, type WorldOptions } from "./world.ts";

export const webhookSecret = "a secret of the hook";

interface ForgeDelivery {
  readonly id: number;
  readonly guid: string;
  readonly event: string;
  readonly status_code: number;
  readonly redelivery: boolean;
}

/** A running world whose repository takes webhooks, with the server they come to and the forge's own hook. */
export interface WebhookLab extends AsyncDisposable {
  readonly w: World;
  readonly log: RecordedLog;
  readonly serverUrl: string;
  /** Makes the forge's hook and waits for its ping; answers the hook's id. */
  hook(events?: readonly string[]): Promise<number>;
  /** Changes where the forge's hook delivers to. */
  point(hook: number, url: string): Promise<void>;
  /** Newest first. */
  deliveries(hook: number): Promise<readonly ForgeDelivery[]>;
  redeliver(hook: number, delivery: number): Promise<void>;
  /** Waits until the watcher has looked, and looked again after what hurried it; for intervals of minutes. */
  quiet(): Promise<void>;
  /** When the last poll ended. */
  polledAt(): Promise<number>;
}

export async function openWebhookLab(options: WorldOptions = {}): Promise<WebhookLab> {
  const recorded = await openRecorded({
    pollMs: 600_000,
    config: (config) => ({
      ...config,
      repositories: config.repositories.map((each) => ({ ...each, webhookSecret: secret(webhookSecret) })),
    }),
    ...options,
  });
  const { w, log } = recorded;
  const { engine } = w.product();
  const server = await startHttpServer(engine, { host: "127.0.0.1", port: 0 });
  // What the watcher waits for: longer than a minute means that it expects nothing.
  let waitingMs = 0;
  const { store } = engine;
  const waitForPoll = store.waitForPoll.bind(store);
  store.waitForPoll = async (name, timeoutMs, signal) => {
    waitingMs = timeoutMs;
    try {
      return await waitForPoll(name, timeoutMs, signal);
    } finally {
      waitingMs = 0;
    }
  };
  const hookUrl = `${server.url}/webhooks/github/fleet`;

  async function forge(method: "GET" | "POST" | "PATCH", path: string, body?: object): Promise<unknown> {
    const answer = await fetch(`${w.forgeUrl}/api/v3/repos/acme/fleet/hooks${path}`, {
      method,
      headers: { authorization: "Bearer admin-token" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  }
  const deliveries = async (hook: number): Promise<readonly ForgeDelivery[]> =>
    (await forge("GET", `/${hook}/deliveries`)) as ForgeDelivery[];
  const polledAt = async (): Promise<number> => (await engine.store.readCondition("fleet"))?.atMs ?? 0;

  return {
    w,
    log,
    serverUrl: server.url,
    async hook(events = ["push", "pull_request", "issue_comment"]) {
      const config = { url: hookUrl, content_type: "json", secret: webhookSecret };
      const { id } = (await forge("POST", "", { events, config })) as { id: number };
      await waitFor(async () => ((await deliveries(id))[0]?.status_code === 202 ? true : undefined), {
        what: "the hook's ping",
        describe: async () => JSON.stringify(await deliveries(id)),
      });
      return id;
    },
    point: async (hook, url) => {
      await forge("PATCH", `/${hook}`, { config: { url } });
    },
    deliveries,
    redeliver: async (hook, delivery) => {
      await forge("POST", `/${hook}/deliveries/${delivery}/attempts`);
    },
    polledAt,
    async quiet() {
      let since = Date.now();
      await waitFor(
        () => {
          if (waitingMs < 60_000) since = Date.now();
          return Date.now() - since > 500 ? true : undefined;
        },
        { what: "the watcher to be quiet" },
      );
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await recorded[Symbol.asyncDispose]();
    },
  };
}
