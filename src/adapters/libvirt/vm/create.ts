import type { VirdomainIdentity } from "../../../fleet/desired-state.ts";
import { WatcherError } from "../../../lib/errors.ts";
import type { OwnershipMark } from "../../../plan/live-state.ts";
import { checkpoint } from "../../boundaries.ts";
import { type Domain, toDomain } from "../domain/domain.ts";
import { writeOwnership } from "../domain/edit.ts";
import { namespace, noOwnership, readMark } from "../domain/ownership.ts";
import { renderSkeleton } from "../domain/skeleton.ts";
import { uuidOf } from "../domain/uuid.ts";
import { parseXml, toXml } from "../domain/xml.ts";
import { getDomain, type Host, macsIn, wordsOf } from "../host.ts";
import { namesIn, quoted } from "../storage/volumes.ts";
import { converge } from "./converge.ts";
import type { Convergence, Present } from "./convergence.ts";
import { removeDomain } from "./delete.ts";
import { sameOwner } from "./require-ours.ts";

/**
 * Brings a VM into being. It is defined first, under construction and with the names of the volumes to come, and once
 * more at the end with everything in it. What an earlier attempt left under construction has never run and is made anew.
 */
export async function createVm(run: Convergence & { readonly emulated: boolean }): Promise<Domain> {
  const { host, mark, desired, context } = run;
  checkpoint(context);
  const { marked, present } = await lookAround(host, context.signal);
  const ours = findOwned(host, marked, mark) ?? findBegun(host, marked, mark, desired.formerIdentities);
  if (ours !== undefined) {
    const found = await getDomain(host, ours.uuid, context.signal);
    if (found.ownership.mark?.building !== true) return found;
    await removeDomain(host, found, context);
  }
  const others = marked.filter(({ uuid }) => uuid !== ours?.uuid);
  return converge({ ...run, present }, bear(run, new Set(others.map(({ uuid }) => uuid))));
}

/** The VM as it is about to be defined for the first time. */
function bear(
  { host, desired, mark, pool, emulated }: Convergence & { readonly emulated: boolean },
  taken: ReadonlySet<string>,
): Domain {
  const uuid = freeUuid(host, desired.identity, taken);
  const skeleton = renderSkeleton({ uuid, desired, emulated, poolPath: pool.path, options: host.options });
  const begun = { ...mark, building: true, revision: undefined };
  writeOwnership(skeleton, { ...noOwnership, mark: begun, os: desired.os });
  return toDomain(toXml(skeleton), undefined, "shut off");
}

/** One whose identity moved on, e.g. by a rename of its resource, keeps the UUID it was born with. */
function freeUuid(host: Host, identity: VirdomainIdentity, taken: ReadonlySet<string>): string {
  for (let generation = 0; ; generation += 1) {
    const uuid = uuidOf(host.options.instance, host.cluster, identity, generation);
    if (!taken.has(uuid)) return uuid;
  }
}

interface Marked {
  readonly uuid: string;
  readonly mark: OwnershipMark | undefined;
}

/** Every domain's mark and addresses, without its definition, and the pool's volumes: two processes, whatever their number. */
async function lookAround(
  { virsh, options }: Host,
  signal: AbortSignal,
): Promise<{ readonly marked: Marked[]; readonly present: Present }> {
  const call = { what: "look for the VM", signal };
  const [all, volumes] = await virsh.batch(["list --all --uuid", `vol-list ${quoted(options.pool)}`], call);
  const uuids = wordsOf(all);
  const marks = uuids.map((uuid) => `metadata ${uuid} ${namespace} --config`);
  const answers = await virsh.batch([...marks, ...uuids.map((uuid) => `domiflist ${uuid} --inactive`)], call);
  return {
    marked: uuids.map((uuid, index) => {
      const text = answers[index];
      return { uuid, mark: text === undefined ? undefined : readMark(parseXml(text), uuid) };
    }),
    present: { volumes: namesIn(volumes ?? ""), macs: macsIn(answers.slice(uuids.length)) },
  };
}

function findOwned(host: Host, all: readonly Marked[], wanted: OwnershipMark): Marked | undefined {
  const ours = all.filter(({ mark }) => mark !== undefined && mark.quarantine === undefined && sameOwner(mark, wanted));
  if (ours.length < 2) return ours[0];
  throw new WatcherError(
    "virdomain-conflict",
    `cluster ${host.cluster}: several VMs carry the mark of ${wanted.identity.resource} (${ours.map(({ uuid }) => uuid).join(", ")}); remove the ones that are not meant`,
  );
}

/** One that was begun before its resource was renamed. */
function findBegun(
  host: Host,
  all: readonly Marked[],
  wanted: OwnershipMark,
  former: readonly VirdomainIdentity[],
): Marked | undefined {
  const begun = all.filter(({ mark }) => mark?.building === true);
  return former.map((identity) => findOwned(host, begun, { ...wanted, identity })).find((found) => found !== undefined);
}
