import type { Log } from "../../ports/log.ts";

/** Where images come from and where they are kept. */
export interface AssetStoreOptions {
  /** Downloads are kept here by content; the folder is made when missing. Processes may share it. */
  readonly cacheDir: string;
  readonly mirrors: readonly AssetMirror[];
  /** Whether manifests may name `http:` URLs. Mirrors may: they are the operator's own word. */
  readonly allowHttp: boolean;
  /** Largest asset accepted, in bytes. Default: no limit. */
  readonly maxBytes?: number | undefined;
  /** What downloads may take together, in bytes. Default: no limit but the disk. */
  readonly cacheMaxBytes?: number;
  /** PEM file trusted in addition to the public authorities. */
  readonly caFile?: string | undefined;
  /** HTTP proxy for downloads. It resolves names itself, so `denyPrivate` then sees literal addresses only. */
  readonly proxy?: string | undefined;
  /** Refuse URLs of manifests that lead to private or loopback addresses. */
  readonly denyPrivate?: boolean;
  /** Time to connect, and time without a byte, in milliseconds. */
  readonly connectMs?: number;
  readonly stallMs?: number;
  /** Longest pause before a download that broke off goes on for the first time, in milliseconds. */
  readonly backoffMs?: number;
  /** How often content in use is marked as such, in milliseconds; far less than the hour for which a mark counts. */
  readonly useBeatMs?: number;
  /** Free bytes on the disk of a folder. Default: what the system says. */
  readonly freeBytes?: (folder: string) => Promise<number>;
  readonly log?: Log;
}

/** URLs beginning with `prefix` are read from `to`: another URL, or a local folder as `file:///srv/images/`. */
export interface AssetMirror {
  readonly prefix: string;
  readonly to: string;
  /** Only for these clusters. Default: all. */
  readonly clusters?: readonly string[] | undefined;
}
