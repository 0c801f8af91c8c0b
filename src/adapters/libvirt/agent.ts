import { WatcherError } from "../../lib/errors.ts";
import type { CloudInitState } from "../../ports/hypervisor.ts";
import type { Domain } from "./domain/domain.ts";
import { hasAgent } from "./domain/devices.ts";
import { findDomain, type Host } from "./host.ts";

/** A silent agent must not hold anything up; libvirt itself waits for minutes otherwise. */
const agentSeconds = 5;
const resultFile = "/run/cloud-init/result.json";

/**
 * Addresses of a running guest by MAC: from its agent when there is one, else from the leases that libvirt's own
 * networks gave out. Best effort: a guest that says nothing has none.
 */
export async function readAddresses(host: Host, domain: Domain, signal: AbortSignal): Promise<Map<string, string[]>> {
  const addresses = new Map<string, string[]>();
  if (domain.power !== "running" || domain.live === undefined) return addresses;
  const sources = hasAgent(domain.live) ? ["agent", "lease"] : ["lease"];
  const call = { what: "read addresses", signal, lenient: true, limitMs: 15_000 };
  const answers = await host.virsh
    .batch(
      sources.map((source) => `domifaddr ${domain.uuid} --source ${source}`),
      call,
    )
    .catch(() => {
      signal.throwIfAborted();
      return [];
    });
  for (const line of answers.flatMap((answer) => answer?.split("\n") ?? [])) {
    const [, mac, address] = /\s([0-9a-f:]{17})\s+ipv[46]\s+([0-9a-f.:]+)\//i.exec(line) ?? [];
    if (mac === undefined || address === undefined || isOnlyLocal(address)) continue;
    const known = addresses.get(mac.toLowerCase()) ?? [];
    if (!known.includes(address)) addresses.set(mac.toLowerCase(), [...known, address]);
  }
  return addresses;
}

function isOnlyLocal(address: string): boolean {
  return address.startsWith("127.") || address === "::1" || /^fe80:/i.test(address);
}

/** Reads cloud-init's own result file through the agent (cloud-init, status files). */
export async function readCloudInit(host: Host, uuid: string, signal: AbortSignal): Promise<CloudInitState> {
  const domain = await findDomain(host, uuid, signal);
  if (domain?.live === undefined || !hasAgent(domain.live)) return { kind: "unknown" };
  try {
    const text = await readGuestFile(host, uuid, resultFile, signal);
    const { v1 } = JSON.parse(text) as { readonly v1?: { readonly errors?: readonly string[] } };
    const errors = v1?.errors ?? [];
    return errors.length === 0 ? { kind: "done" } : { kind: "failed", message: errors.join("; ") };
  } catch (error) {
    signal.throwIfAborted();
    // Not there yet, not finished writing, or an agent that may not read files.
    if (error instanceof WatcherError || error instanceof SyntaxError) return { kind: "unknown" };
    throw error;
  }
}

async function readGuestFile(host: Host, uuid: string, path: string, signal: AbortSignal): Promise<string> {
  const handle = await ask<number>(host, uuid, "guest-file-open", { path, mode: "r" }, signal);
  try {
    const { "buf-b64": content } = await ask<{ readonly "buf-b64": string }>(
      host,
      uuid,
      "guest-file-read",
      { handle },
      signal,
    );
    return Buffer.from(content, "base64").toString("utf8");
  } finally {
    await ask(host, uuid, "guest-file-close", { handle }, signal).catch(() => undefined);
  }
}

async function ask<T>(host: Host, uuid: string, execute: string, args: object, signal: AbortSignal): Promise<T> {
  const message = JSON.stringify({ execute, arguments: args });
  const words = ["qemu-agent-command", uuid, message, "--timeout", String(agentSeconds)];
  const answer = await host.virsh.run(words, { what: `ask the guest agent (${execute})`, signal });
  return (JSON.parse(answer) as { readonly return: T }).return;
}
