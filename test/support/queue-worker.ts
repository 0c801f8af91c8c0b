import { openJobQueue } from "../../src/adapters/redis/job-queue.ts";
import { openRedis } from "../../src/adapters/redis/connection.ts";
import { silentLog } from "./redis-server.ts";

/** A worker process that takes one operation and never ends it: `queue-worker.ts <redis url> <instance>`. Says `taken`. */
const [url = "", instance = ""] = process.argv.slice(2);
const connection = await openRedis({ url, password: undefined, caFile: undefined }, "/nowhere", silentLog);
const queue = await openJobQueue({ connection, instance, log: silentLog });
const never = (): Promise<never> => new Promise(() => undefined);
await queue.work(
  {
    advance: never,
    deliver: never,
    operation: () => {
      console.log("taken");
      return never();
    },
  },
  { concurrency: { advance: 1, operations: 1, delivery: 1 }, graceMs: 0 },
);
