import { randomUUID } from "node:crypto";
import type { Lease, StateStore } from "../../ports/state-store.ts";
import { acquireLease, releaseLease, renewLease } from "./lua.ts";
import type { StoreClient } from "./store-client.ts";

export function leases({ keys, run }: StoreClient): Pick<StateStore, "acquireLease" | "holdVirdomain"> {
  return {
    acquireLease: (name, ttlMs) => acquire(keys.lease(name), ttlMs),
    // Written as the gate of operations writes its holds, which therefore see each other.
    holdVirdomain: (cluster, virdomainKey, ttlMs) => acquire(keys.hold(cluster, virdomainKey), ttlMs),
  };

  async function acquire(key: string, ttlMs: number): Promise<Lease | undefined> {
    const holder = randomUUID();
    const token = Number(await run(acquireLease, [key, keys.fence], [holder, ttlMs]));
    return token === 0 ? undefined : lease(token, `${token} ${holder}`, key, ttlMs);
  }

  function lease(token: number, value: string, key: string, ttlMs: number): Lease {
    return {
      token,
      renew: async () => (await run(renewLease, [key], [value, ttlMs])) === 1,
      release: async () => {
        await run(releaseLease, [key], [value]);
      },
    };
  }
}
