import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Handles } from "../lib/handles.ts";
import { messageOf } from "../lib/errors.ts";
import { Narrator } from "./demo/narrator.ts";
import { setStage, startWatcher } from "./demo/stage.ts";
import { tellStory } from "./demo/story.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { complain, print, wantsColour } from "./output.ts";
import { untilStopped } from "./stop-signal.ts";

/** The main job end to end on this machine, checked by itself. Ends with 1 when anything is off, keeping its logs. */
export async function demoCommand(options: { readonly keep: boolean }): Promise<ExitCode> {
  const startedMs = Date.now();
  const folder = await mkdtemp(join(tmpdir(), "kraken-gitops-demo-"));
  const narrator = new Narrator(print, wantsColour());
  const handles = new Handles();
  const stopped = untilStopped();
  let keepFolder = true;
  try {
    const stage = handles.use(await setStage(folder));
    handles.use(startWatcher(stage));
    const interrupted = await Promise.race([tellStory(stage, narrator).then(() => false), stopped.then(() => true)]);
    if (interrupted) {
      print("\nInterrupted.");
      keepFolder = false;
      return exitCodes.ok;
    }
    print(`\n${narrator.checks} checks passed in ${((Date.now() - startedMs) / 1000).toFixed(1)} s.`);
    keepFolder = options.keep;
    if (!options.keep) return exitCodes.ok;
    print(
      [
        "",
        `Forge:    ${stage.forgeUrl}/acme/fleet`,
        `Cluster:  ${stage.clusterUrl} (admin, password in ${join(folder, "cluster-password")})`,
        `Config:   ${stage.configFile}`,
        `Try:      kraken-gitops status --config ${stage.configFile}`,
        "Everything keeps running until Ctrl-C.",
      ].join("\n"),
    );
    await stopped;
    return exitCodes.ok;
  } catch (error) {
    complain(`\nThe demo failed: ${messageOf(error)}\nLogs are in ${folder}`);
    return exitCodes.error;
  } finally {
    await handles[Symbol.asyncDispose]();
    if (!keepFolder) await rm(folder, { recursive: true, force: true });
  }
}
