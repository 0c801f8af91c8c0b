import type { Pause, PauseScope, StateStore } from "../../ports/state-store.ts";
import { fromJson, type StoreClient } from "./store-client.ts";

type PausePart = Pick<StateStore, "setPause" | "removePause" | "listPauses">;

/** Pauses by people: one hash, a field for each scope. */
export function pauses({ keys, ask }: StoreClient): PausePart {
  return {
    async setPause(pause) {
      await ask((redis) => redis.hset(keys.pauses, fieldOf(pause.scope), JSON.stringify(pause)));
    },
    removePause: async (scope) => (await ask((redis) => redis.hdel(keys.pauses, fieldOf(scope)))) === 1,
    async listPauses(nowMs) {
      const found = Object.values(await ask((redis) => redis.hgetall(keys.pauses))).map(
        (text) => fromJson(text) as Pause,
      );
      return found.filter(({ untilMs }) => untilMs === undefined || untilMs > nowMs).toSorted(byAge);
    },
  };
}

/** Names hold no slash. */
function fieldOf(scope: PauseScope): string {
  switch (scope.kind) {
    case "instance":
      return scope.kind;
    case "repository":
      return `${scope.kind}/${scope.repository}`;
    case "cluster":
      return `${scope.kind}/${scope.cluster}`;
    case "application":
      return `${scope.kind}/${scope.application}`;
    case "virdomain":
      return `${scope.kind}/${scope.cluster}/${scope.virdomain}`;
    default:
      return scope satisfies never;
  }
}

function byAge(a: Pause, b: Pause): number {
  return a.atMs - b.atMs || (fieldOf(a.scope) < fieldOf(b.scope) ? -1 : 1);
}
