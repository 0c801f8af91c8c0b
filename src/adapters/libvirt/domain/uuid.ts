import { createHash } from "node:crypto";
import { identityKey, type VirdomainIdentity } from "../../../fleet/desired-state.ts";

const namespace = Buffer.from("8f6a2f3c5d0f4b7c9a0e5b1d6c7e8f90", "hex");

/**
 * The UUID of a VM by what it is (version 5, RFC 9562): defining it twice makes one VM. `generation` counts up where an
 * earlier UUID is taken, e.g. by a VM whose resource was renamed.
 */
export function uuidOf(instance: string, cluster: string, identity: VirdomainIdentity, generation: number): string {
  const text = JSON.stringify([instance, cluster, identityKey(identity), generation]);
  const bytes = createHash("sha1").update(namespace).update(text).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** A MAC address in QEMU's range, the same every time unless it is taken: without one every definition invents another. */
export function macOf(uuid: string, name: string, taken: ReadonlySet<string>): string {
  for (let attempt = 0; ; attempt += 1) {
    const digest = createHash("sha256").update(`${uuid} ${name} ${attempt}`).digest();
    const mac = `52:54:00:${[...digest.subarray(0, 3)].map((byte) => byte.toString(16).padStart(2, "0")).join(":")}`;
    if (!taken.has(mac)) return mac;
  }
}
