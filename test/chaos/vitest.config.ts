import { defineConfig } from "vitest/config";

/** `npm run test:chaos`: 1,000 operations, some minutes. KRAKEN_CHAOS_SEED makes the same choices again. */
export default defineConfig({
  test: {
    include: ["test/chaos/**/*.test.ts"],
    testTimeout: 45 * 60_000,
    hookTimeout: 60_000,
    fileParallelism: false,
    reporters: ["verbose"],
  },
});
