import type { Approval, StateStore } from "../../ports/state-store.ts";
import { type StoreClient, fromJson, retentionMs } from "./store-client.ts";

/** Approvals and answered commands that are remembered for each repository. */
const remembered = 1_000;

type CommentPart = Pick<
  StateStore,
  "recordApproval" | "listApprovals" | "readCommentCursor" | "recordCommentCursor" | "recordAnswered" | "listAnswered"
>;

/** What people said in comments, and how far it was read. */
export function commentRecords({ keys, ask }: StoreClient): CommentPart {
  return {
    async recordApproval(repository, approval) {
      const key = keys.approvals(repository);
      await ask((redis) =>
        redis
          .multi()
          .zadd(key, "NX", String(approval.atMs), canonical(approval))
          .zremrangebyrank(key, "0", String(-remembered - 1))
          .pexpire(key, String(retentionMs))
          .exec(),
      );
    },
    async listApprovals(repository) {
      const texts = await ask((redis) => redis.zrange(keys.approvals(repository), "0", "-1", "REV"));
      return texts.map((text) => fromJson(text) as Approval);
    },
    async readCommentCursor(repository) {
      const text = await ask((redis) => redis.hget(keys.commentCursors, repository));
      return text === null ? undefined : Number(text);
    },
    async recordCommentCursor(repository, atMs) {
      await ask((redis) => redis.hset(keys.commentCursors, repository, String(atMs)));
    },
    async recordAnswered(repository, key, atMs) {
      const name = keys.answered(repository);
      await ask((redis) =>
        redis
          .multi()
          .zadd(name, String(atMs), key)
          .zremrangebyrank(name, "0", String(-remembered - 1))
          .pexpire(name, String(retentionMs))
          .exec(),
      );
    },
    async listAnswered(repository) {
      return new Set(await ask((redis) => redis.zrange(keys.answered(repository), "0", "-1")));
    },
  };
}

/** The same approval is the same text, so that one told twice is there once. */
function canonical({ id, planId, by, atMs, pullRequest, url }: Approval): string {
  return JSON.stringify({ id, planId, by, atMs, pullRequest, url });
}
