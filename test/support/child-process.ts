import { type ChildProcess, spawn } from "node:child_process";

/** Runs a TypeScript file of the tests as a process of its own and waits until its output matches. */
export function startScript(
  file: string,
  args: readonly string[],
  ready: RegExp,
): Promise<{ readonly child: ChildProcess; readonly output: string }> {
  const child = spawn(process.execPath, ["--import", "tsx", file, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  return new Promise((resolve, reject) => {
    let output = "";
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`${file} ended with ${code}: ${output}`)));
    child.stdout.setEncoding("utf8");
    child.stdout.on("data", (text: string) => {
      output += text;
      if (ready.test(output)) resolve({ child, output });
    });
  });
}

/** SIGKILL, and its end awaited. */
export function kill(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill("SIGKILL");
  });
}
