import type { SyncRecord } from "../../sync/sync-record.ts";
import type { Engine } from "../engine.ts";
import { statusEntry } from "../outbox/messages.ts";

/** Says on the commit how its sync stands; one that has its verdict hears nothing of what follows. */
export async function tell(
  engine: Pick<Engine, "clock" | "config" | "queue" | "store">,
  record: SyncRecord,
  description: string,
): Promise<void> {
  if (!record.commits.includes(record.revision)) return;
  const place = { repository: record.repository, prefix: engine.config().statusPrefix, context: "sync" as const };
  await engine.store.appendOutbox([statusEntry(place, record.revision, "progress", "pending", description)]);
  await engine.queue.addDelivery(
    { schemaVersion: 1, repository: record.repository },
    `${record.id}-${engine.clock.now()}`,
  );
}
