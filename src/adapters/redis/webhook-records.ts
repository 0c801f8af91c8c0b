import type { WebhookRecords } from "../../ports/webhook-records.ts";
import type { StoreClient } from "./store-client.ts";
import { takeDelivery } from "./wish-scripts.ts";

/** As long as forges let people deliver an event again. */
const keepMs = 3 * 24 * 60 * 60 * 1000;
/** Ids kept of a repository: two for each delivery. */
const keepIds = 2_000;

export function webhookRecords({ keys, run, ask }: StoreClient): WebhookRecords {
  return {
    async takeDelivery(repository, ids) {
      const names = [keys.hurries, keys.webhooks(repository), keys.deliveries(repository)];
      return (await run(takeDelivery, names, [keys.hurryChannel, repository, keepMs, keepIds, ...ids])) === 1;
    },
    async countWebhooks(repository, kind, count) {
      await ask((redis) => redis.hincrby(keys.webhooks(repository), kind, count));
    },
    async readWebhooks(repository) {
      const fields = ["received", "ignored", "missed", "lastAtMs"] as const;
      const [received, ignored, missed, lastAtMs] = await ask((redis) =>
        redis.hmget(keys.webhooks(repository), ...fields),
      );
      return {
        received: Number(received ?? 0),
        ignored: Number(ignored ?? 0),
        missed: Number(missed ?? 0),
        lastAtMs: typeof lastAtMs === "string" ? Number(lastAtMs) : undefined,
      };
    },
  };
}
