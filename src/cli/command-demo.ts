import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Handles } from "../lib/handles.ts";
import { messageOf } from "../lib/errors.ts";
import { Narrator } from "./demo/narrator.ts";
import { startLibvirtHost } from "./demo/libvirt-host.ts";
import { tellLibvirtStory } from "./demo/libvirt-story.ts";
import { startSimulatedCluster } from "./demo/simulated-cluster.ts";
import { type DemoCluster, type Stage, setStage, startWatcher } from "./demo/stage.ts";
import { tellStory } from "./demo/story.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { complain, print, wantsColour } from "./output.ts";
import { untilStopped } from "./stop-signal.ts";

/** The main job end to end on this machine, checked by itself. Ends with 1 when anything is off, keeping its logs. */
export async function demoCommand(options: {
  readonly keep: boolean;
  readonly driver: "hypercore" | "libvirt";
}): Promise<ExitCode> {
  const startedMs = Date.now();
  const folder = await mkdtemp(join(tmpdir(), "kraken-gitops-demo-"));
  const narrator = new Narrator(print, wantsColour());
  const handles = new Handles();
  const stopped = untilStopped();
  let keepFolder = true;
  try {
    const { cluster, story } = await open(options.driver, folder, narrator);
    handles.use(cluster);
    const stage = handles.use(await setStage(folder, cluster));
    handles.use(startWatcher(stage));
    const interrupted = await Promise.race([story(stage).then(() => false), stopped.then(() => true)]);
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
        `Cluster:  ${cluster.about}`,
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

interface Performance {
  readonly cluster: DemoCluster;
  readonly story: (stage: Stage) => Promise<void>;
}

async function open(driver: "hypercore" | "libvirt", folder: string, narrator: Narrator): Promise<Performance> {
  if (driver === "hypercore") {
    const cluster = await startSimulatedCluster(folder);
    return { cluster, story: (stage) => tellStory(stage, cluster, narrator) };
  }
  const host = await startLibvirtHost(folder);
  return { cluster: host, story: (stage) => tellLibvirtStory(stage, host, narrator) };
}
