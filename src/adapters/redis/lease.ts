import { randomUUID } from "node:crypto";
import type { Lease, StateStore } from "../../ports/state-store.ts";
import { acquireLease, releaseLease, renewLease } from "./lua.ts";
import type { StoreClient } from "./store-client.ts";

export function leases({ keys, run }: StoreClient): Pick<StateStore, "acquireLease"> {
  return {
    async acquireLease(name, ttlMs) {
      const holder = randomUUID();
      const token = Number(await run(acquireLease, [keys.lease(name), keys.fence], [holder, ttlMs]));
      return token === 0 ? undefined : lease(token, `${token} ${holder}`, name, ttlMs);
    },
  };

  function lease(token: number, value: string, name: string, ttlMs: number): Lease {
    return {
      token,
      renew: async () => (await run(renewLease, [keys.lease(name)], [value, ttlMs])) === 1,
      release: async () => {
        await run(releaseLease, [keys.lease(name)], [value]);
      },
    };
  }
}
