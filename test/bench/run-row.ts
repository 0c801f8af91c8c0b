import type { Measurement } from "./bench-row.ts";
import { rows } from "./rows/index.ts";

/** The end of a row's process, as its parent reads it. */
export type RowAnswer = { readonly measurements: readonly Measurement[] } | { readonly trouble: string };

const row = rows.find(({ name }) => name === process.argv[2]);
if (row === undefined) throw new Error(`no row is named ${process.argv[2]}`);
const answer = await row.run().then(
  (measurements): RowAnswer => ({ measurements }),
  (error: unknown): RowAnswer => ({ trouble: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
);
process.send?.(answer);
process.disconnect?.();
