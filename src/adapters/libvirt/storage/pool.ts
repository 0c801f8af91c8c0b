import { WatcherError } from "../../../lib/errors.ts";
import { find, attribute, parseXml, textOf } from "../domain/xml.ts";
import type { Host } from "../host.ts";

/** What the driver needs to know of its pool. */
export interface Pool {
  readonly name: string;
  /** Folder on the host. */
  readonly path: string;
  readonly capacityBytes: number;
  readonly availableBytes: number;
}

/** Pools whose volumes are files; the driver relies on qcow2 and on files beside the disks. */
const fileBased = new Set(["dir", "fs", "netfs"]);

/** The configured pool. Throws `cluster-refused` when it is missing, not started, or of another kind. */
export async function readPool(host: Host, signal: AbortSignal): Promise<Pool> {
  const { pool } = host.options;
  const what = `read storage pool ${pool}`;
  const [xml, active] = await Promise.all([
    host.virsh.run(["pool-dumpxml", pool], { what, signal }),
    host.virsh.run(["pool-info", pool, "--bytes"], { what, signal }),
  ]);
  const element = parseXml(xml);
  const where = `cluster ${host.cluster}: storage pool ${pool}`;
  if (!/^State:\s+running/m.test(active))
    throw new WatcherError(
      "cluster-refused",
      `${where} is not active (virsh pool-start ${pool}; pool-autostart ${pool})`,
    );
  const type = attribute(element, "type") ?? "";
  if (!fileBased.has(type))
    throw new WatcherError(
      "cluster-refused",
      `${where} is of type ${type}; a pool of files is needed (dir, fs or netfs)`,
    );
  return {
    name: pool,
    path: textOf(find(element, "target", "path")),
    capacityBytes: Number(textOf(find(element, "capacity"))),
    availableBytes: Number(textOf(find(element, "available"))),
  };
}
