import type { DemoComment, DemoStatus, ForgeClient } from "./forge-client.ts";
import type { Narrator } from "./narrator.ts";

const pauseMs = 100;

/** Watches statuses and comments arrive, as a person with the page open would. */
export class Follower {
  readonly #forge: ForgeClient;
  readonly #narrator: Narrator;
  readonly #patienceMs: number;

  /** `patienceMs`: how long a status or comment may take. */
  constructor(forge: ForgeClient, narrator: Narrator, patienceMs: number) {
    this.#forge = forge;
    this.#narrator = narrator;
    this.#patienceMs = patienceMs;
  }

  /** Waits for the plan of exactly this head, told by its status and in the comment. */
  async planned(pull: number, head: string): Promise<DemoComment> {
    await this.#final(head, "kraken-gitops/plan", `pull request ${pull}`);
    return this.until(`the plan comment for ${head.slice(0, 7)}`, async () =>
      (await this.#forge.comments(pull)).find(
        (comment) => comment.author === "kraken-bot" && comment.body.includes(head.slice(0, 7)),
      ),
    );
  }

  /** Waits for the final sync status and checks the road there: pending first, one final at the end. */
  async synced(revision: string, what: string): Promise<DemoStatus> {
    const final = await this.#final(revision, "kraken-gitops/sync", what);
    const states = (await this.#forge.statuses(revision))
      .filter((status) => status.context === "kraken-gitops/sync")
      .map((status) => status.state);
    const finals = states.filter((state) => state !== "pending").length;
    this.#narrator.check(
      states[0] === "pending" && finals === 1 && final.state === "success",
      `${what} went from pending to success`,
    );
    return final;
  }

  async #final(revision: string, context: string, what: string): Promise<DemoStatus> {
    let told = 0;
    return this.until(`${context} on ${what}`, async () => {
      const statuses = (await this.#forge.statuses(revision)).filter((status) => status.context === context);
      for (const status of statuses.slice(told)) this.#narrator.status(revision, status);
      told = statuses.length;
      const newest = statuses.at(-1);
      return newest === undefined || newest.state === "pending" ? undefined : newest;
    });
  }

  /** Looks again and again until there is something to see. */
  async until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
    const deadline = Date.now() + this.#patienceMs;
    for (;;) {
      const found = await look();
      if (found !== undefined) return found;
      if (Date.now() > deadline) throw new Error(`waited ${this.#patienceMs / 1000} s in vain for ${what}`);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}
