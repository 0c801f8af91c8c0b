import type { LiveVirdomain, OwnershipMark } from "../../../plan/live-state.ts";
import type { ChangeContext } from "../../../ports/hypervisor.ts";
import { canonicalJson } from "../../../lib/canonical-json.ts";
import { checkpoint } from "../../boundaries.ts";
import type { Domain } from "../domain/domain.ts";
import { getDomain, type Host } from "../host.ts";
import { quoted } from "../storage/volumes.ts";
import { noteOn } from "./definitions.ts";
import { requireOurs } from "./require-ours.ts";

export interface Remark {
  readonly mark: OwnershipMark;
  /** Left out: it keeps its name. libvirt renames only what is off, and names are unique on a host. */
  readonly name: string | undefined;
}

/** Writes the mark, then the name: two steps, each of which finds out whether it was done before. */
export async function remarkVm(
  host: Host,
  live: LiveVirdomain,
  { mark, name }: Remark,
  context: ChangeContext,
): Promise<Domain> {
  checkpoint(context);
  const found = await getDomain(host, live.id, context.signal);
  requireOurs(host, found, mark);
  const marked = sameMark(found.ownership.mark, mark)
    ? found
    : await noteOn(host, found, { ...found.ownership, mark }, context);
  return name === undefined || name === marked.name ? marked : rename(host, marked, name, context);
}

function sameMark(found: OwnershipMark | undefined, wanted: OwnershipMark): boolean {
  return found !== undefined && canonicalJson(found) === canonicalJson(wanted);
}

/** What is set aside must not come up with its host; a VM that is started gets that back. */
async function rename(host: Host, domain: Domain, name: string, context: ChangeContext): Promise<Domain> {
  context.beforeChange();
  const what = `rename VM ${domain.name} to ${name}`;
  const commands = [`autostart ${domain.uuid} --disable`, `domrename ${domain.uuid} ${quoted(name)}`];
  await host.virsh.runInOne(commands, { what, signal: context.signal });
  return getDomain(host, domain.uuid, context.signal);
}
