import type { Clock } from "../../ports/clock.ts";

/** How often the list is compared with the configuration. */
const rosterMs = 1_000;

export interface Roster {
  /** Who is to be worked for, by name; work for a name begins anew when its text changes. */
  wanted(): ReadonlyMap<string, string>;
  /** Works until the signal aborts. */
  work(name: string, signal: AbortSignal): Promise<void>;
  /** Work for a name ends, as nobody wants it any more. */
  onLeft?(name: string): void;
}

/** Works for everybody on a list that may change at any time, side by side, until disposed. */
export function followRoster(clock: Clock, roster: Roster): AsyncDisposable {
  const stop = new AbortController();
  const workers = new Map<string, { readonly text: string; readonly controller: AbortController }>();
  const working = new Set<Promise<void>>();

  function begin(name: string, text: string): void {
    const controller = new AbortController();
    workers.set(name, { text, controller });
    const work = roster.work(name, AbortSignal.any([controller.signal, stop.signal]));
    working.add(work);
    void work.finally(() => working.delete(work));
  }

  function compare(): void {
    const wanted = roster.wanted();
    for (const [name, { text, controller }] of workers) {
      if (wanted.get(name) === text) continue;
      controller.abort();
      workers.delete(name);
      if (!wanted.has(name)) roster.onLeft?.(name);
    }
    for (const [name, text] of wanted) if (!workers.has(name)) begin(name, text);
  }

  async function keepComparing(): Promise<void> {
    while (!stop.signal.aborted) {
      compare();
      await clock.sleep(rosterMs, stop.signal).catch(() => undefined);
    }
  }

  const comparing = keepComparing();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await comparing;
      await Promise.all(working);
    },
  };
}
