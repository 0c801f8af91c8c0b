import type { ClusterLimits } from "./cluster.ts";

const mebibyte = 1024 ** 2;

/** What of a VM a laboratory may cut. */
interface Size {
  readonly cpu: number;
  /** Whole MiB. */
  readonly memoryBytes: number;
}

interface ScaledSize extends Size {
  /** What the manifest asks for where the limits give less; left out where they give it all. */
  readonly scaledDown?: Partial<Size>;
}

/** The size a VM gets on a cluster with these limits: never more than its manifest asks for, and whole MiB as ever. */
export function scaleDown({ cpu, memoryBytes }: Size, limits: ClusterLimits | undefined): ScaledSize {
  const mostCpu = limits?.cpu ?? cpu;
  const mostBytes = limits?.memoryBytes === undefined ? memoryBytes : wholeMebibytes(limits.memoryBytes);
  const scaledDown = {
    ...(memoryBytes > mostBytes ? { memoryBytes } : {}),
    ...(cpu > mostCpu ? { cpu } : {}),
  };
  const size = { cpu: Math.min(cpu, mostCpu), memoryBytes: Math.min(memoryBytes, mostBytes) };
  return Object.keys(scaledDown).length === 0 ? size : { ...size, scaledDown };
}

function wholeMebibytes(bytes: number): number {
  return Math.floor(bytes / mebibyte) * mebibyte;
}
