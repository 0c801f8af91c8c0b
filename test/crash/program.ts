import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

export interface ProgramOptions {
  readonly name: string;
  readonly command: string;
  readonly args: () => readonly string[];
  /** Its output says this when it is ready. */
  readonly ready: RegExp;
  readonly logFile: string;
  readonly onReady?: (output: string) => void;
}

const readyMs = 60_000;
const againMs = 150;
const stopMs = 20_000;

/**
 * A process kept running as a service manager would: one that ends before it was ready (its Redis is not back yet, its
 * port is still taken) is started again. One that ends by itself later has a bug, and is noted as a surprise.
 */
export class Program {
  readonly name: string;
  readonly #options: ProgramOptions;
  #child: ChildProcess | undefined;
  /** Counts starts and kills: a start that was overtaken by a kill gives up. */
  #turn = 0;
  /** Ends nobody asked for, after it was ready. */
  readonly surprises: string[] = [];

  constructor(options: ProgramOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /** Starts it and answers what it printed until it was ready, or "" when it was killed meanwhile. */
  async start(): Promise<string> {
    this.#turn += 1;
    const turn = this.#turn;
    const deadline = Date.now() + readyMs;
    for (;;) {
      const output = await this.#startOnce();
      if (turn !== this.#turn) return "";
      if (output !== undefined) {
        this.#options.onReady?.(output);
        return output;
      }
      if (Date.now() > deadline) throw new Error(`${this.name} does not become ready; see ${this.#options.logFile}`);
      await pause(againMs);
      if (turn !== this.#turn) return "";
    }
  }

  /** SIGKILL, and its end awaited. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** SIGTERM, and after 20 s by force. */
  async stop(): Promise<void> {
    const child = this.#child;
    const force = setTimeout(() => child?.kill("SIGKILL"), stopMs);
    await this.#end("SIGTERM");
    clearTimeout(force);
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    this.#turn += 1;
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }

  /** Undefined when it ended before it was ready. */
  #startOnce(): Promise<string | undefined> {
    const { command, args, ready, logFile } = this.#options;
    const endWithUs = (): void => void child.kill("SIGKILL");
    const child = spawn(command, args(), { stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    process.once("exit", endWithUs);
    return new Promise((resolve, reject) => {
      let output = "";
      let isReady = false;
      const take = (text: string): void => {
        appendFileSync(logFile, text);
        if (isReady) return;
        output += text;
        isReady = ready.test(output);
        if (isReady) resolve(output);
      };
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding("utf8");
        stream.on("data", take);
      }
      child.once("error", reject);
      child.once("exit", (code, signal) => {
        process.off("exit", endWithUs);
        appendFileSync(logFile, `--- ${this.name} ended: ${code ?? signal}\n`);
        if (isReady && this.#child === child) this.surprises.push(`${this.name} ended by itself: ${code ?? signal}`);
        resolve(undefined);
      });
    });
  }
}
