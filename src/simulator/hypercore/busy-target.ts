import { isRecord } from "./body.ts";
import type { BusyTarget } from "./calls.ts";
import type { Controls } from "./control.ts";

/** What a change means to touch and a task is under way on, whatever the change is answered. */
export function busyTarget(
  { state, tasks }: Pick<Controls, "state" | "tasks">,
  params: readonly string[],
  body: unknown,
  sessionID: string,
): BusyTarget | undefined {
  const named = [...params, ...domainsIn(body)].map((id) => ownerOf(state, id));
  const busy = named.find((id) => tasks.isBusy(id));
  if (busy === undefined) return undefined;
  const object = state.images.has(busy) ? "image" : state.isos.has(busy) ? "iso" : "virdomain";
  const tag = [...state.works.entries()].find(([, { locks }]) => locks.includes(busy))?.[0] ?? "";
  return { object, sender: credentialsOf(sessionID), holder: credentialsOf(state.tasks.get(tag)?.sessionID ?? "") };
}

function credentialsOf(sessionID: string): BusyTarget["sender"] {
  return sessionID === "" ? "basic" : "session";
}

/** A device belongs to its VM. */
function ownerOf(state: Controls["state"], id: string): string {
  return (state.findDisk(id) ?? state.findNic(id))?.vm.uuid ?? id;
}

function domainsIn(body: unknown): readonly string[] {
  const items: readonly unknown[] = Array.isArray(body) ? body : [body];
  return items.filter(isRecord).flatMap((item) => {
    const inner = isRecord(item["template"]) ? item["template"]["virDomainUUID"] : undefined;
    return [item["virDomainUUID"], inner].filter((id) => typeof id === "string");
  });
}
