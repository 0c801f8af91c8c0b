/** What scripts can rely on: 0 done or no change, 1 error, 2 changes pending. */
export const exitCodes = { ok: 0, error: 1, changes: 2 } as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];
