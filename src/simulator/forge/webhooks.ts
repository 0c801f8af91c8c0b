import { createHmac, randomUUID } from "node:crypto";
import type { Dialect } from "./dialect.ts";
import type { HookRecord } from "./records.ts";
import type { Store } from "./store.ts";

export const HOOK_EVENTS = ["push", "pull_request", "issue_comment", "status", "ping", "*"] as const;

/** One attempt to deliver an event, as `GET /hooks/ID/deliveries` lists it. */
export interface Delivery {
  readonly id: number;
  readonly guid: string;
  readonly hook: number;
  readonly deliveredAt: number;
  readonly redelivery: boolean;
  readonly seconds: number;
  /** 0: no answer. */
  readonly statusCode: number;
  readonly status: string;
  readonly event: string;
  readonly action: string | undefined;
  readonly payload: string;
}

const KEEP = 200;

/** Sends events to hooks: once each, in no promised order, never again by itself. The list of deliveries is not kept over a restart. */
export class Webhooks {
  readonly #store: Store;
  readonly #timeoutMs: number;
  readonly #headers: Dialect["hookHeaders"];
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<unknown>>();
  #deliveries: Delivery[] = [];
  #lastId = 0;

  constructor(store: Store, timeoutMs: number, headers: Dialect["hookHeaders"]) {
    this.#store = store;
    this.#timeoutMs = timeoutMs;
    this.#headers = headers;
  }

  /** Whether anybody listens: building a payload costs git calls. */
  wanted(repository: number, event: string): boolean {
    return this.#listeners(repository, event).length > 0;
  }

  emit(repository: number, event: string, payload: Record<string, unknown>): void {
    for (const hook of this.#listeners(repository, event)) this.#start(hook, event, payload);
  }

  ping(hook: HookRecord, payload: Record<string, unknown>): void {
    this.#start(hook, "ping", { zen: "Keep it logically awesome.", hook_id: hook.id, ...payload });
  }

  deliveriesOf(hook: number): Delivery[] {
    return this.#deliveries.filter((one) => one.hook === hook).toReversed();
  }

  /** The same event with the same GUID once more. */
  redeliver(hook: HookRecord, delivery: Delivery): void {
    this.#track(this.#deliver(hook, delivery.event, delivery.action, delivery.payload, delivery.guid));
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled(this.#running);
  }

  #listeners(repository: number, event: string): HookRecord[] {
    const hooks = this.#store.hooks.group(`${repository}`);
    return hooks.filter((hook) => hook.active && (hook.events.includes(event) || hook.events.includes("*")));
  }

  #start(hook: HookRecord, event: string, payload: Record<string, unknown>): void {
    const action = typeof payload["action"] === "string" ? payload["action"] : undefined;
    this.#track(this.#deliver(hook, event, action, JSON.stringify(payload), undefined));
  }

  #track(run: Promise<unknown>): void {
    this.#running.add(run);
    void run.finally(() => this.#running.delete(run));
  }

  async #deliver(
    hook: HookRecord,
    event: string,
    action: string | undefined,
    payload: string,
    earlier: string | undefined,
  ): Promise<void> {
    const guid = earlier ?? randomUUID();
    const started = Date.now();
    const outcome = await this.#post(hook, event, payload, guid);
    this.#lastId += 1;
    this.#deliveries.push({
      id: this.#lastId,
      guid,
      hook: hook.id,
      deliveredAt: started,
      redelivery: earlier !== undefined,
      seconds: (Date.now() - started) / 1000,
      event,
      action,
      payload,
      ...outcome,
    });
    this.#deliveries = this.#deliveries.slice(-KEEP);
  }

  async #post(
    hook: HookRecord,
    event: string,
    payload: string,
    guid: string,
  ): Promise<{ statusCode: number; status: string }> {
    const form = hook.contentType === "form";
    const body = form ? new URLSearchParams({ payload }).toString() : payload;
    const headers: Record<string, string> = {
      "content-type": form ? "application/x-www-form-urlencoded" : "application/json",
      ...this.#headers(hook, event, guid, body),
    };
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(this.#timeoutMs)]);
    try {
      const response = await fetch(hook.url, { method: "POST", headers, body, signal, redirect: "manual" });
      await response.arrayBuffer();
      return { statusCode: response.status, status: response.ok ? "OK" : response.statusText || `${response.status}` };
    } catch (error) {
      return {
        statusCode: 0,
        status: error instanceof Error && error.name === "TimeoutError" ? "timed out" : "failed to connect to host",
      };
    }
  }
}

export function githubHookHeaders(hook: HookRecord, event: string, guid: string, body: string): Record<string, string> {
  return {
    "user-agent": "GitHub-Hookshot/simulator",
    "x-github-event": event,
    "x-github-delivery": guid,
    "x-github-hook-id": `${hook.id}`,
    "x-github-hook-installation-target-id": `${hook.repository}`,
    "x-github-hook-installation-target-type": "repository",
    ...signatures(hook.secret, body),
  };
}

/** Over the bytes of the body as they are sent; nothing when the hook has no secret. */
function signatures(secret: string | undefined, body: string): Record<string, string> {
  if (secret === undefined || secret === "") return {};
  const sign = (algorithm: string): string =>
    `${algorithm}=${createHmac(algorithm, secret).update(body).digest("hex")}`;
  return { "x-hub-signature": sign("sha1"), "x-hub-signature-256": sign("sha256") };
}
