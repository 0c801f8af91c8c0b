import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Doorkeeper } from "./auth.ts";
import { CallLog } from "./calls.ts";
import type { Controls } from "./control.ts";
import { settleTiering } from "./disks.ts";
import { Effects } from "./effects.ts";
import { FaultBoard } from "./faults.ts";
import { recoverImages } from "./images.ts";
import { listenAsNodes } from "./listen.ts";
import { type HypercoreSimulatorOptions, hostOfNode, resolveSettings, type SimulatorSettings } from "./options.ts";
import { recoverGuests } from "./guests.ts";
import { ClusterState } from "./state.ts";
import { TaskBoard } from "./tasks.ts";
import { ensureCertificates } from "./tls.ts";
import { NodeBoard } from "./update.ts";

export type { HypercoreSimulatorOptions } from "./options.ts";

/** A running cluster. */
export interface HypercoreSimulator {
  /** One origin per node, e.g. `https://127.0.0.1:40123`. */
  readonly addresses: string[];
  /** With TLS: the certificates of all nodes in PEM, usable as a CA file. */
  readonly certificateFile?: string;
  /** Cuts every connection, forgets what has not happened yet, and closes the state file. */
  close(): Promise<void>;
}

/** Starts a cluster that answers HyperCore's REST API v1 on one address per node. */
export async function startHypercoreSimulator(options: HypercoreSimulatorOptions = {}): Promise<HypercoreSimulator> {
  const settings = resolveSettings(options);
  const file = settings.tls ? certificateFileOf(settings) : undefined;
  const hosts = Array.from({ length: settings.nodes }, (_item, index) => hostOfNode(settings, index));
  const certificates = file === undefined ? undefined : ensureCertificates(file, hosts);
  const controls = openCluster(settings);
  try {
    const { addresses, close } = await listenAsNodes(controls, hosts, certificates);
    const closeAll = async (): Promise<void> => {
      await close();
      controls.state.close();
    };
    return { addresses, ...(file === undefined ? {} : { certificateFile: file }), close: closeAll };
  } catch (error) {
    controls.state.close();
    throw error;
  }
}

/**
 * A simulator as a process of its own: prints one line of JSON (`{"ready":true,"addresses":[...]}`) when it listens and
 * stops on SIGTERM or SIGINT. Resolves when it has stopped.
 */
export async function runHypercoreSimulator(options: HypercoreSimulatorOptions): Promise<void> {
  const simulator = await startHypercoreSimulator(options);
  const stopped = nextStopSignal();
  process.stdout.write(readyLine(simulator));
  await stopped;
  await simulator.close();
}

/** Listens from the moment it is called, so that a parent may stop the process as soon as it has read the ready line. */
async function nextStopSignal(): Promise<void> {
  const done = new AbortController();
  const { signal } = done;
  await Promise.race([once(process, "SIGTERM", { signal }), once(process, "SIGINT", { signal })]);
  done.abort();
}

/** What a parent process reads to learn where the cluster listens. */
function readyLine({ addresses, certificateFile }: HypercoreSimulator): string {
  return `${JSON.stringify({ ready: true, addresses, certificateFile })}\n`;
}

function certificateFileOf({ certificateFile, stateFile }: SimulatorSettings): string {
  if (certificateFile !== undefined) return certificateFile;
  if (stateFile !== undefined) return `${stateFile}.pem`;
  return join(mkdtempSync(join(tmpdir(), "hypercore-simulator-")), "nodes.pem");
}

/** The state as the file has it, with whatever was under way settled or set going again. */
function openCluster(settings: SimulatorSettings): Controls {
  const state = new ClusterState(settings);
  const tasks = new TaskBoard(state, new Effects(state));
  tasks.recover();
  recoverGuests(state);
  recoverImages(state);
  for (const vm of state.virdomains.values()) settleTiering(state, vm.uuid);
  state.store.flush();
  return {
    state,
    tasks,
    nodes: new NodeBoard(state.timers, settings.nodes, state.facts.icosVersion),
    faults: new FaultBoard(state.random),
    calls: new CallLog(settings.rememberedCalls),
    doorkeeper: new Doorkeeper(state),
  };
}
