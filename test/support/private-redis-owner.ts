import { ensurePrivateRedis } from "../../src/adapters/redis/private-server.ts";
import { silentLog } from "./redis-server.ts";

/** A process with a private Redis: `private-redis-owner.ts <data folder>`. Says `pid <server's process id>` and stays. */
const server = await ensurePrivateRedis(process.argv[2] ?? "", { log: silentLog });
console.log(`pid ${server.pid()}`);
setInterval(() => undefined, 1_000);
