import { pino } from "pino";
import type { Log } from "../ports/log.ts";

export interface LogOptions {
  readonly level: string;
  /** `auto`: pretty on a terminal, JSON lines otherwise. */
  readonly format: "auto" | "json" | "pretty";
  /** 1 is stdout, 2 is stderr. */
  readonly fd: 1 | 2;
}

/** The root logger. Its options may change while it runs. */
export interface RootLog extends Log {
  setLevel(level: string): void;
}

/** pino-pretty is loaded only where somebody reads along: a service is smaller without it. */
export async function createLog(options: LogOptions): Promise<RootLog> {
  const terminal = (options.fd === 1 ? process.stdout : process.stderr).isTTY;
  const readable = options.format === "pretty" || (options.format === "auto" && terminal);
  const destination = readable
    ? (await import("pino-pretty")).default({
        destination: options.fd,
        colorize: terminal,
        ignore: "pid,hostname",
        translateTime: "HH:MM:ss",
        sync: true,
      })
    : pino.destination({ fd: options.fd, sync: true });
  const logger = pino({ level: options.level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
  return Object.assign(logger, {
    setLevel(level: string) {
      logger.level = level;
    },
  });
}
