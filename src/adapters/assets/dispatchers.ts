import { readFile } from "node:fs/promises";
import { rootCertificates } from "node:tls";
import { Agent, type Dispatcher, ProxyAgent } from "undici";
import { guardedLookup } from "./address-guard.ts";
import type { AssetStoreOptions } from "./options.ts";

/** One set of connections per rule on private addresses, so that a guarded request never rides on an unguarded socket. */
export async function openDispatchers(options: AssetStoreOptions): Promise<ReadonlyMap<boolean, Dispatcher>> {
  const ca = options.caFile === undefined ? {} : { ca: [...rootCertificates, await readFile(options.caFile, "utf8")] };
  const limits = { headersTimeout: options.stallMs ?? 60_000, bodyTimeout: options.stallMs ?? 60_000 };
  const open = (denyPrivate: boolean): Dispatcher => {
    if (options.proxy !== undefined) return new ProxyAgent({ uri: options.proxy, requestTls: ca, ...limits });
    return new Agent({
      ...limits,
      connect: { timeout: options.connectMs ?? 10_000, lookup: guardedLookup(denyPrivate), ...ca },
    });
  };
  return new Map([false, true].map((denyPrivate) => [denyPrivate, open(denyPrivate)]));
}
