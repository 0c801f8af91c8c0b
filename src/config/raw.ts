/** The configuration as people write it, after config/config.schema.json has accepted it. */
export interface RawConfig {
  readonly instance?: string;
  readonly statusPrefix?: string;
  readonly redis?: RawSecret<"password"> & { readonly url?: string; readonly caFile?: string };
  readonly dataDir?: string;
  readonly repositories: readonly RawRepository[];
  readonly clusters: readonly RawCluster[];
  readonly assets?: {
    readonly mirrors?: readonly {
      readonly prefix: string;
      readonly to: string;
      readonly clusters?: readonly string[];
    }[];
    readonly allowHttp?: boolean;
    readonly caFile?: string;
    readonly proxy?: string;
    readonly allowPrivate?: boolean;
    readonly maxAssetSize?: string | number;
    readonly cache?: { readonly maxSize?: string | number };
  };
  readonly server?: { readonly listen: string };
  readonly workers?: { readonly concurrency?: number; readonly perCluster?: number };
  readonly drift?: {
    readonly interval?: string;
    readonly pause?: string;
    readonly corrections?: number;
    readonly within?: string;
  };
  readonly log?: {
    readonly level?: "trace" | "debug" | "info" | "warn" | "error" | "silent";
    readonly format?: "auto" | "json" | "pretty";
  };
}

/** `tokenFile` or `tokenEnv`, `passwordFile` or `passwordEnv`. */
export type RawSecret<Kind extends string> = { readonly [Key in `${Kind}File` | `${Kind}Env`]?: string };

export interface RawRepository {
  readonly name: string;
  readonly url: string;
  readonly branch?: string;
  readonly path?: string;
  readonly poll?: string;
  readonly auth?: RawAuth;
  readonly caFile?: string;
  readonly proxy?: string;
  readonly forge?: RawForge;
  readonly clusters?: readonly string[];
  readonly windows?: readonly RawWindow[];
  readonly signatures?: { readonly require?: boolean; readonly allowedSigners?: string; readonly gpgKeys?: string };
}

export interface RawWindow {
  readonly days?: readonly string[];
  readonly from: string;
  readonly to: string;
  readonly timeZone: string;
  readonly deny?: boolean;
}

export type RawForge = RawSecret<"token"> &
  RawSecret<"webhookSecret"> & {
    readonly type: "none" | "github" | "gitlab" | "gitea" | "forgejo";
    readonly apiUrl?: string;
    readonly app?: { readonly id: string | number; readonly privateKeyFile: string; readonly installationId?: number };
    readonly deployments?: boolean;
  };

export type RawAuth = RawSecret<"token"> & {
  readonly username?: string;
  readonly sshKeyFile?: string;
  readonly knownHostsFile?: string;
};

export interface RawCluster {
  readonly name: string;
  readonly id?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly variables?: Readonly<Record<string, string>>;
  readonly limits?: { readonly memory?: string | number; readonly cpu?: number };
  readonly networks?: Readonly<Record<string, RawNetwork>>;
  readonly hypercore?: RawHypercore;
  readonly libvirt?: RawLibvirt;
  readonly windows?: readonly RawWindow[];
}

export interface RawNetwork {
  readonly vlan?: number;
  readonly network?: string;
  readonly bridge?: string;
  readonly user?: true;
}

export type RawHypercore = RawSecret<"password"> & {
  readonly endpoints: readonly string[];
  readonly username: string;
  readonly auth?: "basic" | "session";
  readonly discoverNodes?: boolean;
  readonly caFile?: string;
  readonly tls?: { readonly insecure?: boolean; readonly caFile?: string; readonly fingerprint?: string };
};

export interface RawLibvirt {
  readonly uri: string;
  readonly pool?: string;
  readonly machine?: "q35" | "pc";
  readonly accelerator?: "kvm" | "auto" | "tcg";
  readonly disks?: "copy" | "overlay";
  readonly maxCpus?: number;
  readonly secureBoot?: boolean;
  readonly seedBus?: "scsi" | "sata";
  readonly consoleLogs?: string;
}
