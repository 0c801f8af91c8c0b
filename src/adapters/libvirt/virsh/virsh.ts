import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { WatcherError } from "../../../lib/errors.ts";
import { deadline } from "../../pause.ts";
import { toError, toTrouble } from "./virsh-errors.ts";

export interface VirshCall {
  /** What is being done, for messages: `start VM web-1`. */
  readonly what: string;
  readonly signal: AbortSignal;
  readonly limitMs?: number;
}

/** A program that stopped talking is killed; libvirt itself notices a dead connection after this many seconds. */
const keepalive = ["-k", "5", "-K", "6"];
/** Between the answers of a batch; random, so that no text on a host can pretend to be it. */
const separator = `kraken-gitops-${randomUUID()}`;
/** A command line takes 128 KiB in one argument (Linux MAX_ARG_STRLEN); batches stay well below. */
const batchChars = 60_000;

/**
 * Runs virsh, the one interface of libvirt that is complete and needs no compiler. Mutations are one process each;
 * reads are put together, since a process costs more than the answer.
 */
export class Virsh {
  readonly #cluster: string;
  readonly #uri: string;
  readonly #callMs: number;

  constructor(cluster: string, uri: string, callMs: number) {
    this.#cluster = cluster;
    this.#uri = uri;
    this.#callMs = callMs;
  }

  /** One command; answers what it printed. Throws LibvirtError, or the signal's reason. */
  async run(args: readonly string[], call: VirshCall): Promise<string> {
    const { code, stdout, stderr } = await this.#exec(args, call);
    if (code === 0) return stdout;
    throw toError({ cluster: this.#cluster, what: call.what, stderr });
  }

  /** Commands in one process; when any of them fails, so does the call, and what failed first is what is told. */
  async runInOne(commands: readonly string[], call: VirshCall): Promise<void> {
    const { code, stderr } = await this.#exec([commands.join("; ")], call);
    // The exit code is the last one's; a copy that failed must not pass for made because enlarging found something there.
    const errors = stderr.split("\n").filter((line) => line.startsWith("error: "));
    if (code === 0 && errors.length === 0) return;
    throw toError({ cluster: this.#cluster, what: call.what, stderr: errors.slice(0, 2).join("\n") });
  }

  /**
   * Many reading commands in few processes; one answer for each, undefined where what it asked for does not exist. Words
   * of a command must need no quoting. Any other failure of any of them throws, unless `lenient`: an answer that is
   * missing for another reason must not be taken for something that does not exist.
   */
  async batch(
    commands: readonly string[],
    call: VirshCall & { readonly lenient?: boolean },
  ): Promise<(string | undefined)[]> {
    const answers: (string | undefined)[] = [];
    for (const chunk of inChunks(commands)) {
      // The words after a command are printed whether it failed or not; a failed command printed nothing on stdout.
      const script = chunk.flatMap((command) => [command, `echo ${separator}`]).join("; ");
      const { stdout, stderr } = await this.#exec([script], call);
      const parts = stdout.split(separator);
      const failed = call.lenient === true ? undefined : troubleOf(stderr);
      if (failed !== undefined || parts.length !== chunk.length + 1)
        throw toError({ cluster: this.#cluster, what: call.what, stderr: failed ?? stderr });
      answers.push(...parts.slice(0, -1).map((part) => (part.trim() === "" ? undefined : part)));
    }
    return answers;
  }

  /** A command that prints as long as it lives; ends when the signal aborts or the connection breaks. */
  async *lines(args: readonly string[], signal: AbortSignal): AsyncGenerator<string> {
    const child = spawn("virsh", [...this.#base(), ...args], {
      env: environment(),
      signal,
      stdio: ["ignore", "pipe", "ignore"],
    });
    child.once("error", () => undefined);
    let rest = "";
    for await (const chunk of child.stdout.setEncoding("utf8")) {
      const lines = `${rest}${String(chunk)}`.split("\n");
      rest = lines.pop() ?? "";
      yield* lines;
    }
  }

  #base(): string[] {
    return ["-q", ...(this.#uri.startsWith("test:") ? [] : keepalive), "-c", this.#uri];
  }

  async #exec(
    args: readonly string[],
    { what, signal, limitMs = this.#callMs }: VirshCall,
  ): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
    signal.throwIfAborted();
    const limit = deadline(limitMs, signal);
    try {
      return await execute([...this.#base(), ...args], limit.signal);
    } catch (error) {
      signal.throwIfAborted();
      if (limit.expired())
        throw new WatcherError(
          "cluster-unreachable",
          `cluster ${this.#cluster}: ${what}: no answer within ${Math.round(limitMs / 1000)} s`,
        );
      throw error;
    } finally {
      limit.done();
    }
  }
}

function execute(
  args: readonly string[],
  signal: AbortSignal,
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn("virsh", args, {
      env: environment(),
      signal,
      killSignal: "SIGKILL",
      stdio: ["ignore", "pipe", "pipe"],
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
    child.once("error", (error) => reject(missing(error) ?? error));
    child.once("close", (code) =>
      resolve({
        code: code ?? 1,
        stdout: Buffer.concat(stdout).toString("utf8"),
        stderr: Buffer.concat(stderr).toString("utf8"),
      }),
    );
  });
}

/** The first failure that does not simply say that something does not exist. */
function troubleOf(stderr: string): string | undefined {
  return stderr.split("\n").find((line) => line.startsWith("error: ") && toTrouble(line) !== "absent");
}

function missing(error: Error): WatcherError | undefined {
  if (!("code" in error) || error.code !== "ENOENT") return undefined;
  return new WatcherError("cluster-unsupported", "virsh is not installed here (package libvirt-clients)");
}

/** Messages are translated, and they are the only error code there is. */
function environment(): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: "C", LIBVIRT_DEBUG: "4" };
}

function inChunks(commands: readonly string[]): string[][] {
  const chunks: string[][] = [];
  let length = 0;
  for (const command of commands) {
    length += command.length + separator.length + 10;
    const last = chunks.at(-1);
    if (last === undefined || length > batchChars) {
      chunks.push([command]);
      length = command.length;
    } else last.push(command);
  }
  return chunks;
}
