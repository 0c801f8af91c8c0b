import { openAssetStore } from "../../src/adapters/assets/asset-store.ts";
import type { AssetStoreOptions } from "../../src/adapters/assets/options.ts";
import type { DesiredAsset } from "../../src/fleet/desired-state.ts";

/** A process that fetches one asset: `asset-fetcher.ts <JSON>`. Says `at <bytes>` for progress. */
const order = JSON.parse(process.argv[2] ?? "{}") as { options: AssetStoreOptions; asset: DesiredAsset };
await using store = await openAssetStore(order.options);
await store.fetch(order.asset, "lab", AbortSignal.timeout(60_000), (done) => console.log(`at ${done}`));
