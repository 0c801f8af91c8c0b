import { randomUUID } from "node:crypto";
import { WatcherError } from "../../lib/errors.ts";
import type { BeginAnswer, BeginOperation, OperationHold, StateStore } from "../../ports/state-store.ts";
import { beginOperation, countUnderWay, endHold, renewHold } from "./lua.ts";
import { type StoreClient, retentionMs } from "./store-client.ts";

type Refusal = Exclude<BeginAnswer["kind"], "begun">;

/** One writer per VM and a limit per cluster, over all processes. What a dead process held ends by itself. */
export function operationGate({ keys, run }: StoreClient): Pick<StateStore, "beginOperation" | "countUnderWay"> {
  return {
    async beginOperation(request) {
      const { syncId, cluster, operationId } = request;
      const holder = randomUUID();
      const answer = (await run(
        beginOperation,
        [
          keys.sync(syncId),
          keys.rounds(syncId),
          keys.outcomes(syncId, cluster),
          ...holdKeys(request),
          keys.attempts(syncId, cluster),
          keys.fence,
        ],
        [
          cluster,
          request.round,
          operationId,
          holder,
          request.clusterLimit,
          request.ttlMs,
          request.virdomainKey,
          memberOf(request),
          retentionMs,
        ],
      )) as readonly ["begun", string | number, string | number] | readonly [Refusal];
      if (answer[0] !== "begun") return { kind: answer[0] };
      const token = Number(answer[1]);
      return { kind: "begun", attempt: Number(answer[2]), hold: hold(request, token, `${token} ${holder}`) };
    },

    async countUnderWay(syncId, cluster) {
      const prefix = cluster === undefined ? "" : `${cluster}/`;
      return Number(await run(countUnderWay, [keys.underWay(syncId)], [prefix]));
    },
  };

  function hold(request: BeginOperation, token: number, value: string): OperationHold {
    const { syncId, cluster, operationId, round, virdomainKey } = request;
    return {
      token,
      renew: async () =>
        (await run(renewHold, holdKeys(request), [value, request.ttlMs, virdomainKey, memberOf(request)])) === 1,
      end: async (outcome, options) => {
        const ended = await run(
          endHold,
          [...holdKeys(request), keys.rounds(syncId), keys.outcomes(syncId, cluster), keys.attempts(syncId, cluster)],
          [
            value,
            virdomainKey,
            memberOf(request),
            cluster,
            round,
            operationId,
            outcome === undefined ? "" : JSON.stringify(outcome),
            retentionMs,
            options?.free === true ? 0 : 1,
          ],
        );
        if (ended !== 1 && outcome !== undefined) throw lostHold(request);
      },
    };
  }

  function holdKeys({ syncId, cluster, virdomainKey }: BeginOperation): readonly string[] {
    return [keys.hold(cluster, virdomainKey), keys.places(cluster), keys.underWay(syncId)];
  }
}

/** Cluster names hold no slash, so the cluster can be told from the rest. */
function memberOf({ cluster, operationId }: BeginOperation): string {
  return `${cluster}/${operationId}`;
}

function lostHold({ cluster, virdomainKey }: BeginOperation): WatcherError {
  return new WatcherError(
    "lease-lost",
    `the hold on ${virdomainKey} (cluster ${cluster}) ended before its operation did; the result is not recorded and the operation is looked at again`,
  );
}
