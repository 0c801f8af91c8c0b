import { WatcherError } from "../../../lib/errors.ts";
import type { ChangeContext } from "../../../ports/hypervisor.ts";
import { checkpoint, interruptible } from "../../boundaries.ts";
import { Pacer, poll } from "../../pause.ts";
import { type Domain, isOff } from "../domain/domain.ts";
import { getDomain, type Host } from "../host.ts";
import { isTrouble } from "../virsh/virsh-errors.ts";

/** libvirt waits 60 s for an agent that agrees to shut down and does nothing, and presses the power button then. */
const agentMs = 90_000;

/** Powers on, or lets a paused guest go on, and waits until it runs. A VM under construction is refused. */
export async function startVm(host: Host, uuid: string, context: ChangeContext): Promise<void> {
  checkpoint(context);
  const domain = await interruptible(context, (signal) => settleShutdown(host, uuid, signal));
  if (domain.power === "running") return;
  const { mark } = domain.ownership;
  // One that is paused is let go on to shut down, which quarantine asks for as well.
  if (mark?.building === true || (mark?.quarantine !== undefined && isOff(domain)))
    throw new WatcherError(
      "virdomain-changed",
      `cluster ${host.cluster}: VM ${domain.name} is ${mark.building ? "still under construction" : "in quarantine"} and is not started`,
    );
  const { signal } = context;
  const verb = domain.power === "paused" && domain.live !== undefined ? "resume" : "start";
  context.beforeChange();
  try {
    const what = `${verb} VM ${domain.name}`;
    // What is to run comes back with its host.
    await host.virsh.runInOne([`autostart ${uuid}`, `${verb} ${uuid}`], {
      what,
      signal,
      limitMs: host.timeouts.startMs,
    });
  } catch (error) {
    if (!isTrouble(error, "already-so")) throw error;
  }
}

/** A guest on its way down can neither be started nor asked anything; it is awaited first. */
async function settleShutdown(host: Host, uuid: string, signal: AbortSignal): Promise<Domain> {
  const seen = await poll(host.timeouts.startMs, signal, async () => {
    const domain = await getDomain(host, uuid, signal);
    return domain.power === "shutting-down" ? undefined : domain;
  });
  return seen ?? getDomain(host, uuid, signal);
}

/** Asks the guest, again and again, and switches it off in the end where that is allowed. */
export async function stopVm(
  host: Host,
  uuid: string,
  options: { readonly graceMs: number; readonly force: boolean },
  context: ChangeContext,
): Promise<void> {
  checkpoint(context);
  let domain = await getDomain(host, uuid, context.signal);
  if (isOff(domain)) return;
  // A guest that was paused, or saved to disk, never shut down: it goes on, so that it can.
  if (domain.power === "paused") {
    await startVm(host, uuid, context);
    domain = await getDomain(host, uuid, context.signal);
  }
  const graceful = domain.power !== "crashed" && (await askForShutdown(host, domain, options.graceMs, context));
  if (graceful) return;
  if (!options.force)
    throw new WatcherError(
      "shutdown-timeout",
      `cluster ${host.cluster}: VM ${domain.name} did not shut down within ${Math.round(options.graceMs / 1000)} s`,
    );
  await switchOff(host, domain, context);
}

/** True when the VM is off. `shutdown` returns at once whatever the guest does; a booting guest loses the request. */
async function askForShutdown(
  host: Host,
  { uuid, name }: Domain,
  graceMs: number,
  context: ChangeContext,
): Promise<boolean> {
  const began = Date.now();
  const pacer = new Pacer(100);
  let nextMs = 0;
  for (;;) {
    const seen = await interruptible(context, (signal) => getDomain(host, uuid, signal));
    if (isOff(seen)) return true;
    const passedMs = Date.now() - began;
    if (passedMs >= graceMs || seen.power === "paused") return false;
    if (passedMs >= nextMs && seen.power === "running") {
      nextMs = passedMs + host.timeouts.resendMs;
      await send(host, "shutdown", { uuid, name }, agentMs, context);
    }
    await interruptible(context, (signal) => pacer.rest(signal));
  }
}

async function switchOff(host: Host, { uuid, name }: Domain, context: ChangeContext): Promise<void> {
  const { stopMs } = host.timeouts;
  await send(host, "destroy", { uuid, name }, stopMs, context);
  const off = await poll(stopMs, context.signal, async () =>
    isOff(await getDomain(host, uuid, context.signal)) ? true : undefined,
  );
  if (off !== true)
    throw new WatcherError(
      "cluster-failed",
      `cluster ${host.cluster}: VM ${name} is not off after ${Math.round(stopMs / 1000)} s`,
    );
}

/** It may have gone off by itself. A host that restarts meanwhile must not bring up a VM that is being changed. */
async function send(
  host: Host,
  verb: "shutdown" | "destroy",
  { uuid, name }: Pick<Domain, "uuid" | "name">,
  limitMs: number,
  context: ChangeContext,
): Promise<void> {
  context.beforeChange();
  const what = `${verb === "shutdown" ? "shut down" : "switch off"} VM ${name}`;
  try {
    await host.virsh.runInOne([`autostart ${uuid} --disable`, `${verb} ${uuid}`], {
      what,
      signal: context.signal,
      limitMs,
    });
  } catch (error) {
    // A guest that cannot be asked, say because its agent hangs, is one that does not shut down in time.
    const unheard = verb === "shutdown" && isTrouble(error, "busy", "held-by-guest", "other");
    if (!unheard && !isTrouble(error, "already-so")) throw error;
  }
}
