import { withFileLock } from "../../src/adapters/file-lock.ts";

/** A process that takes a lock and keeps it: `file-lock-holder.ts <file>`. Says `held` and stays. */
await withFileLock(process.argv[2] ?? "", {}, () => {
  console.log("held");
  setInterval(() => undefined, 1_000);
  return new Promise<never>(() => undefined);
});
