/**
 * Which VMs of this instance a cluster had when it was read last, by the platform's ids: what tells a cluster that was
 * emptied from an answer that is empty.
 */
export interface VirdomainSightings {
  /** Atomic. Replaces what was known of the cluster; those that are expected to go are left out. */
  recordSighted(cluster: string, ids: readonly string[]): Promise<void>;
  listSighted(cluster: string): Promise<readonly string[]>;
  /** Atomic. Called before we delete a VM: from here on nobody misses it. */
  expectGone(cluster: string, id: string): Promise<void>;
  /** A person says that they are gone. Answers how many were known. */
  forgetSighted(cluster: string): Promise<number>;
}
