import { defineConfig } from "vitest/config";

/** `npm run test:crash`: 200 kill moments, about a quarter of an hour. KRAKEN_CRASH_SEED replays a run. */
export default defineConfig({
  test: {
    include: ["test/crash/**/*.test.ts"],
    testTimeout: 45 * 60_000,
    hookTimeout: 60_000,
    fileParallelism: false,
    reporters: ["verbose"],
  },
});
