import { contentHash } from "../../lib/canonical-json.ts";
import { answerMarker, renderRefused } from "../../report/answers.ts";
import { type Command, readCommands } from "../../sync/comment-commands.ts";
import type { PullRequestComment } from "../../ports/forge.ts";
import type { Engine, Repository } from "../engine.ts";
import { approvalsByComment } from "../planning/approvals.ts";
import { type CommandScene, carryOut, openPulls } from "./carry-out.ts";

/** Comments are read again this far back: forges list them late, and their times are whole seconds. */
const overlapMs = 30_000;

/**
 * Answers commands in comments on pull requests. Everything a command does may be done again, and is remembered as
 * answered afterwards: a crash loses none and answers none twice. Trouble is logged and tried again with the next poll.
 */
export async function answerCommands(engine: Engine, repository: Repository, signal: AbortSignal): Promise<void> {
  try {
    await answerNewComments(engine, repository, signal);
    await syncWhatIsApproved(engine, repository.config.name);
  } catch (error) {
    signal.throwIfAborted();
    engine.log.warn(
      { err: error, repository: repository.config.name },
      "comments cannot be read now, will be tried again",
    );
  }
}

async function answerNewComments(engine: Engine, repository: Repository, signal: AbortSignal): Promise<void> {
  const { store } = engine;
  const { name } = repository.config;
  const cursor = await store.readCommentCursor(name);
  // What was said before we first looked was not said to us.
  if (cursor === undefined) return store.recordCommentCursor(name, engine.clock.now() + overlapMs);
  const comments = await repository.forge.listComments(cursor - overlapMs, signal);
  const answered = await store.listAnswered(name);
  const pulls = openPulls(repository, signal);
  let readUntilMs = comments.at(-1)?.updatedAtMs ?? 0;
  for (const comment of comments) {
    const commands = readCommands(comment);
    const key = `${comment.id}/${contentHash(commands, 12)}`;
    if (commands.length === 0 || answered.has(key)) continue;
    try {
      await answerComment({ engine, repository, comment, pulls, signal }, commands);
      await store.recordAnswered(name, key, engine.clock.now());
    } catch (error) {
      signal.throwIfAborted();
      readUntilMs = Math.min(readUntilMs, comment.updatedAtMs);
      engine.log.warn(
        { err: error, repository: name, pullRequest: comment.pullRequest, comment: comment.id },
        "a command cannot be answered now, will be tried again",
      );
    }
  }
  if (readUntilMs > cursor) await store.recordCommentCursor(name, readUntilMs);
}

async function answerComment(scene: CommandScene, commands: readonly Command[]): Promise<void> {
  const { engine, repository, comment, signal } = scene;
  const { forge, config } = repository;
  if (!(await forge.mayWrite(comment.author, signal))) {
    await forge.react(comment, "-1", signal);
    // One for each pull request, so that nobody fills it by asking over and over.
    await answer(scene, "refused", renderRefused(comment.author.login));
    return;
  }
  await forge.react(comment, "eyes", signal);
  const words: string[] = [];
  for (const command of commands) {
    const { reaction, text } = await carryOut(scene, command);
    if (reaction !== "eyes") await forge.react(comment, reaction, signal);
    if (text !== undefined && !words.includes(text)) words.push(text);
    engine.log.info(
      {
        repository: config.name,
        pullRequest: comment.pullRequest,
        by: comment.author.login,
        command: command.kind,
        receipt: reaction,
      },
      "command answered",
    );
  }
  if (words.length > 0) await answer(scene, comment.id, words.join("\n\n"));
}

async function answer({ engine, repository, comment }: CommandScene, about: string, markdown: string): Promise<void> {
  const { name } = repository.config;
  const marker = answerMarker(engine.config().instance, name, about);
  await engine.store.appendOutbox([
    {
      repository: name,
      key: `answer/${comment.pullRequest}/${about}`,
      weight: "latest",
      message: {
        kind: "comment",
        pullRequest: comment.pullRequest,
        marker,
        markdown: `${marker}\n\n${replyTo(comment)}${markdown}`,
      },
    },
  ]);
  await engine.queue.addDelivery({ schemaVersion: 1, repository: name }, `answer-${comment.id}-${about}`);
}

function replyTo({ url }: PullRequestComment): string {
  return url === undefined || !/^https?:\/\/[^\s()<>]+$/.test(url) ? "" : `[↩](${url}) `;
}

/** A sync that ended for lack of an approval which is there by now is made again. */
async function syncWhatIsApproved(engine: Engine, repository: string): Promise<void> {
  const { currentSync } = await engine.store.readBranch(repository);
  const current = currentSync === undefined ? undefined : await engine.store.readSync(currentSync);
  if (current?.state.kind !== "finished") return;
  const { deletions, id } = current.record;
  if (deletions.allowed || !(await approvalsByComment(engine, repository)).has(deletions.approvalId)) return;
  engine.log.info({ repository, sync: id, approval: deletions.approvalId }, "losses were approved, syncing again");
  await engine.store.requestSync(repository);
}
