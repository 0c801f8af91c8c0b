/** Where images come from and where they are kept. */
export interface AssetStoreOptions {
  /** Downloads are kept here by content; the folder is made when missing. */
  readonly cacheDir: string;
  readonly mirrors: readonly AssetMirror[];
  /** Whether manifests may name `http:` URLs. Mirrors may: they are the operator's own word. */
  readonly allowHttp: boolean;
  /** Largest asset accepted, in bytes. Default: no limit. */
  readonly maxBytes?: number;
  /** PEM file trusted in addition to the public authorities. */
  readonly caFile?: string | undefined;
  /** HTTP proxy for downloads. It resolves names itself, so `denyPrivate` then sees literal addresses only. */
  readonly proxy?: string | undefined;
  /** Refuse URLs of manifests that lead to private or loopback addresses. */
  readonly denyPrivate?: boolean;
  /** Time to connect, and time without a byte, in milliseconds. */
  readonly connectMs?: number;
  readonly stallMs?: number;
}

/** URLs beginning with `prefix` are read from `to`: another URL, or a local folder as `file:///srv/images/`. */
export interface AssetMirror {
  readonly prefix: string;
  readonly to: string;
  /** Only for these clusters. Default: all. */
  readonly clusters?: readonly string[] | undefined;
}
