import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Writable } from "node:stream";
import { pino } from "pino";
import type { Config, SecretReference } from "../../src/config/config.ts";
import { secretInFile } from "../../src/config/secrets.ts";
import type { Log } from "../../src/ports/log.ts";
import { waitFor } from "./wait-for.ts";
import { World, type WorldOptions } from "./world.ts";

/** The product's log as it is written: JSON lines, errors as pino shows them. */
export interface RecordedLog {
  readonly log: Log;
  text(): string;
  /** Waits for a line that matches. */
  says(line: RegExp): Promise<void>;
}

export function recordLog(): RecordedLog {
  let written = "";
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      written += chunk.toString();
      done();
    },
  });
  return {
    log: pino({ level: "debug", base: null }, sink),
    text: () => written,
    says: async (line) => {
      await waitFor(() => (written.split("\n").some((one) => line.test(one)) ? true : undefined), {
        what: `the log line ${String(line)}`,
        describe: () => Promise.resolve(written),
      });
    },
  };
}

/** A running world of one test's own, with its log: such tests can run side by side. */
export interface RecordedWorld extends AsyncDisposable {
  readonly w: World;
  readonly log: RecordedLog;
}

export async function openRecorded(options: WorldOptions = {}): Promise<RecordedWorld> {
  const log = recordLog();
  const w = await World.open({ log: log.log, ...options });
  await w.run();
  return { w, log, [Symbol.asyncDispose]: () => w[Symbol.asyncDispose]() };
}

/** A secret in a file of the world's own folder, holding this text until the test writes another. */
export function plantedSecret(config: Config, name: string, text: string): SecretReference {
  const file = join(config.dataDir, "..", name);
  writeFileSync(file, text);
  return secretInFile(file);
}
