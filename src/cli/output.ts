/** Where commands write: results to stdout, everything else to stderr, so that `--json` can be piped. */
export function print(text: string): void {
  process.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, undefined, 2));
}

export function complain(text: string): void {
  process.stderr.write(text.endsWith("\n") ? text : `${text}\n`);
}

/** A reader that has seen enough (`| head -1`) closes the pipe: that is no error of ours, and nobody is left to tell. */
export function surviveClosedOutput(): void {
  for (const stream of [process.stdout, process.stderr])
    if (!stream.listeners("error").includes(ignoreClosedPipe)) stream.on("error", ignoreClosedPipe);
}

function ignoreClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE") throw error;
}

/** `1 cluster`, `2 clusters`. */
export function count(number: number, noun: string): string {
  const plural = noun.endsWith("y") ? `${noun.slice(0, -1)}ies` : `${noun}s`;
  return `${number} ${number === 1 ? noun : plural}`;
}

/** Colours only on a terminal, and not where NO_COLOR asks for none (no-color.org). */
export function wantsColour(): boolean {
  return process.stdout.isTTY && (process.env["NO_COLOR"] ?? "") === "";
}

/** One line that is written over while long work goes on; nothing at all without a terminal. */
export function progressLine(): { show(text: string): void; clear(): void } {
  const terminal = process.stderr.isTTY;
  const write = (text: string): void => {
    if (terminal) process.stderr.write(`\r\u001B[2K${text}`);
  };
  return { show: (text) => write(text.slice(0, (process.stderr.columns ?? 80) - 1)), clear: () => write("") };
}
