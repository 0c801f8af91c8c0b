import { pause } from "../pause.ts";
import { type Host, wordsOf } from "./host.ts";

/** How long to wait before listening again after the connection broke. */
const againMs = 5_000;
/** libvirt's name of a VM in an event line: `event 'lifecycle' for domain 'web-1': Started Booted`. */
const eventLine = /event '([^']+)' for domain '(.*)'(?::|$)/;

/**
 * Tells of VMs that something happened to, until the signal aborts. `virsh event` ends when the daemon restarts, and
 * some changes make no event at all (`setvcpus --config`): who listens looks himself, and from time to time anyway.
 */
export async function watchEvents(
  host: Host,
  onChange: (uuid: string | undefined) => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      for await (const line of host.virsh.lines(["event", "--all", "--loop"], signal)) {
        const name = eventLine.exec(line)?.[2];
        if (name !== undefined) onChange(await uuidOfName(host, name, signal));
      }
    } catch (error) {
      if (signal.aborted) return;
      host.log("debug", { cluster: host.cluster, err: error }, "events of the host are not heard for the moment");
    }
    if (signal.aborted) return;
    onChange(undefined);
    await pause(againMs, signal).catch(() => undefined);
  }
}

/** By the list, as a name may look like the number of another VM; undefined when it is gone. */
async function uuidOfName({ virsh }: Host, name: string, signal: AbortSignal): Promise<string | undefined> {
  const [listed] = await virsh.batch(["list --all --uuid --name"], { what: "look up a VM", signal });
  for (const line of (listed ?? "").split("\n")) {
    const [uuid = "", ...words] = wordsOf(line);
    if (words.join(" ") === name) return uuid;
  }
  return undefined;
}
