import { members, text, toVirDomainWire, UnexpectedShape, type VirDomain } from "../rest/wire.ts";

/** The members of a VirDomainSnapshot this driver uses, checked on arrival. Times are milliseconds. */
export interface VmSnapshot {
  readonly uuid: string;
  readonly domainUUID: string;
  readonly label: string;
  readonly type: string;
  readonly takenAtMs: number;
  /** Undefined when it is kept until somebody removes it. */
  readonly expiresAtMs: number | undefined;
  /** The VM as it was; undefined where the cluster does not show it, or not in full. */
  readonly domain: VirDomain | undefined;
}

const labelPrefix = "kraken-gitops/";

/** How a snapshot of this instance is labelled; an instance's name has no spaces, so none begins another. */
export function fullLabel(instance: string, label: string): string {
  return `${labelPrefix}${instance} ${label}`;
}

/** The label as it was asked for, when this instance took the snapshot. */
export function ownLabel(snapshot: VmSnapshot, instance: string): string | undefined {
  const prefix = fullLabel(instance, "");
  return snapshot.type === "USER" && snapshot.label.startsWith(prefix)
    ? snapshot.label.slice(prefix.length)
    : undefined;
}

/**
 * Everything is said: the API wants every member present, and replication would be on by default. The other values are
 * the defaults of the vendor's own client.
 */
export function snapshotBody(domainUUID: string, label: string, keepUntilMs: number): object {
  return {
    domainUUID,
    label,
    type: "USER",
    automatedTriggerTimestamp: 0,
    localRetainUntilTimestamp: Math.ceil(keepUntilMs / 1000),
    remoteRetainUntilTimestamp: 0,
    blockCountDiffFromSerialNumber: -1,
    replication: false,
  };
}

/** Snapshots of others need not make sense to us: only what identifies one must be there. */
export function toSnapshotWire(value: unknown): VmSnapshot {
  const snapshot = members(value, "VirDomainSnapshot");
  const uuid = text(snapshot.uuid);
  if (uuid === "") throw new UnexpectedShape("unexpected VirDomainSnapshot.uuid");
  const retainSeconds = seconds(snapshot.localRetainUntilTimestamp);
  return {
    uuid,
    domainUUID: text(snapshot.domainUUID),
    label: text(snapshot.label),
    type: text(snapshot.type),
    takenAtMs: seconds(snapshot.timestamp) * 1000,
    expiresAtMs: retainSeconds === 0 ? undefined : retainSeconds * 1000,
    domain: toDomain(snapshot.domain),
  };
}

function toDomain(value: unknown): VirDomain | undefined {
  try {
    return toVirDomainWire(value);
  } catch (error) {
    if (error instanceof UnexpectedShape) return undefined;
    throw error;
  }
}

/** 0 for what is no point in time. */
function seconds(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) && value > 0 ? value : 0;
}
