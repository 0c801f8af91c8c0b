/** What the next poll of a repository is wanted for, and by when. */
export interface PollWishes {
  /** A webhook said that something changed: the next poll should come now. Wakes `waitForPoll` in every process. */
  hurryPoll(repository: string): Promise<void>;
  /**
   * Ends with true when a poll is wanted (hurried, or a sync was asked for) since the last wait of this process ended so,
   * with false after `timeoutMs` or when `signal` aborts. A store that does not answer is waited out; never an error.
   */
  waitForPoll(repository: string, timeoutMs: number, signal: AbortSignal): Promise<boolean>;

  /**
   * A wish for a sync with the next poll of the repository: for everything (a person's, with which all drift starts over),
   * or for the targets that drifted. Wishes add up until one poll takes them all; everything outdoes targets. A `quiet` one
   * hurries nobody.
   */
  requestSync(repository: string, targets?: readonly string[], options?: { readonly quiet: boolean }): Promise<void>;
  takeSyncRequest(repository: string): Promise<SyncWish | undefined>;
}

/** What the next poll is to plan anew beside what changed: all targets, or those with these keys. */
export type SyncWish = "everything" | ReadonlySet<string>;
