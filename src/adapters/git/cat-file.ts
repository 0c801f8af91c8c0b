import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { WatcherError } from "../../lib/errors.ts";
import { AnswerReader, type ObjectContents, type ObjectInfo } from "./cat-file-answers.ts";

export interface CatFileOptions {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** git >= 2.36 answers sizes and contents in one process (`--batch-command`); older ones need a process for each. */
  readonly batchCommand: boolean;
  readonly timeoutMs: number;
}

type Kind = "info" | "contents";

/**
 * Long-lived `git cat-file` processes, one question at a time. A process that dies, or whose reader gave up half-way, is
 * replaced at the next question; object names may be any revision expression without line breaks.
 */
export class CatFile implements AsyncDisposable {
  readonly #options: CatFileOptions;
  readonly #processes = new Map<string, ChildProcessWithoutNullStreams>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: CatFileOptions) {
    this.#options = options;
  }

  /** Type and size by name, in the order asked; undefined for what is not in the mirror. */
  async info(names: readonly string[], signal: AbortSignal): Promise<readonly (ObjectInfo | undefined)[]> {
    return await this.#inTurn(() => this.#ask("info", names, signal));
  }

  async contents(names: readonly string[], signal: AbortSignal): Promise<readonly (ObjectContents | undefined)[]> {
    return await this.#inTurn(() => this.#ask("contents", names, signal));
  }

  /** Ends the processes; the next question starts fresh ones, which see a mirror that was put in place of this one. */
  async restart(): Promise<void> {
    await this.#inTurn(() => this.#stopAll());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stopAll();
  }

  /** Answers come in the order of the questions, so a second caller waits for the first one's last byte. */
  #inTurn<T>(ask: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(ask, ask);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #ask(
    kind: Kind,
    names: readonly string[],
    signal: AbortSignal,
  ): Promise<readonly (ObjectContents | undefined)[]> {
    signal.throwIfAborted();
    if (names.length === 0) return [];
    const child = this.#process(kind);
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(this.#options.timeoutMs)]);
    try {
      return await exchange(child, this.#question(kind, names), names.length, kind === "contents", deadline);
    } catch (error) {
      child.kill("SIGKILL"); // the rest of its answers would be read as answers to the next question
      signal.throwIfAborted();
      if (error instanceof WatcherError) throw error;
      throw new WatcherError(
        "git-failed",
        `Reading ${names.length} objects from the mirror failed; it is tried again.`,
        {
          cause: error,
        },
      );
    }
  }

  #question(kind: Kind, names: readonly string[]): string {
    if (!this.#options.batchCommand) return names.map((name) => `${name}\n`).join("");
    return `${names.map((name) => `${kind} ${name}\n`).join("")}flush\n`;
  }

  #process(kind: Kind): ChildProcessWithoutNullStreams {
    const key = this.#options.batchCommand ? "both" : kind;
    const running = this.#processes.get(key);
    if (running && running.exitCode === null && running.signalCode === null && !running.killed) return running;
    const mode = this.#options.batchCommand
      ? ["--batch-command", "--buffer"]
      : [kind === "info" ? "--batch-check" : "--batch"];
    const child = spawn("git", ["cat-file", ...mode], { cwd: this.#options.cwd, env: { ...this.#options.env } });
    for (const stream of [child, child.stdin, child.stdout, child.stderr]) stream.on("error", () => undefined); // `exchange` hears of it by close
    this.#processes.set(key, child);
    return child;
  }

  async #stopAll(): Promise<void> {
    const children = [...this.#processes.values()];
    this.#processes.clear();
    await Promise.all(children.map(stop));
  }
}

function stop(child: ChildProcessWithoutNullStreams): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("close", () => resolve());
    child.stdin.end();
    child.kill("SIGKILL");
  });
}

function exchange(
  child: ChildProcessWithoutNullStreams,
  question: string,
  answers: number,
  withContents: boolean,
  signal: AbortSignal,
): Promise<readonly (ObjectContents | undefined)[]> {
  const reader = new AnswerReader(answers, withContents);
  let complaint = "";
  const onComplaint = (chunk: Buffer): void => {
    complaint = (complaint + chunk.toString()).slice(-1_000);
  };
  return new Promise((resolve, reject) => {
    const onData = (chunk: Buffer): void => {
      try {
        if (reader.push(chunk)) settle(() => resolve(reader.answers));
      } catch (error) {
        settle(() => reject(error));
      }
    };
    const onClose = (): void => settle(() => reject(new Error(`git cat-file ended: ${complaint.trim()}`)));
    const onAbort = (): void => settle(() => reject(signal.reason));
    function settle(then: () => void): void {
      child.stdout.off("data", onData);
      child.stderr.off("data", onComplaint);
      child.off("close", onClose);
      child.off("error", onClose);
      signal.removeEventListener("abort", onAbort);
      then();
    }
    child.stdout.on("data", onData);
    child.stderr.on("data", onComplaint);
    child.once("close", onClose);
    child.once("error", onClose);
    signal.addEventListener("abort", onAbort, { once: true });
    child.stdin.write(question);
  });
}
