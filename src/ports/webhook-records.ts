/** What is remembered of webhooks, for `status`, for replays and for those that were lost. Part of the state store. */
export interface WebhookRecords {
  /**
   * Atomic. Takes a delivery that is known under none of these ids: remembers them for a while, counts it as received and
   * hurries the poll. Otherwise it is a replay, counted as ignored; answers false.
   */
  takeDelivery(repository: string, ids: readonly string[]): Promise<boolean>;
  /** `ignored`: true to its secret, and of no use. `missed`: something changed on the forge and no webhook told of it. */
  countWebhooks(repository: string, kind: "ignored" | "missed", count: number): Promise<void>;
  readWebhooks(repository: string): Promise<WebhookCounts>;
}

export interface WebhookCounts {
  readonly received: number;
  readonly ignored: number;
  readonly missed: number;
  /** When the last one was received, by the store's clock; undefined before the first. */
  readonly lastAtMs: number | undefined;
}
