/**
 * Does something that only one process of an instance may do at a time. Waits for its turn, and takes over from a
 * process that died. The signal given to `work` aborts with `lease-lost` when somebody else may have begun.
 */
export type Exclusive = <T>(name: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>) => Promise<T>;
