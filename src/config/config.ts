import type { Cluster } from "../fleet/cluster.ts";
import type { DriftRules } from "../sync/drift-pace.ts";
import type { SignaturePolicy } from "../sync/signature-verdict.ts";
import type { SyncWindow } from "../sync/windows.ts";

/** The effective configuration: defaults filled in, paths absolute, secrets still references. See config/config.schema.json for what people write. */
export interface Config {
  /** Part of the ownership mark and of the status contexts; `kraken-gitops` unless set. */
  readonly instance: string;
  /** First part of status contexts: `kraken-gitops`, or `kraken-gitops/<instance>` when an instance is named. */
  readonly statusPrefix: string;
  readonly redis: RedisConfig;
  readonly dataDir: string;
  readonly repositories: readonly RepositoryConfig[];
  readonly clusters: readonly ClusterConfig[];
  readonly assets: AssetsConfig;
  /** Undefined: no HTTP server. */
  readonly server?: ServerConfig | undefined;
  readonly workers: { readonly concurrency: number; readonly perCluster: number };
  readonly drift: DriftConfig;
  readonly log: { readonly level: LogLevel; readonly format: "auto" | "json" | "pretty" };
}

/** How clusters are compared with what was applied to them. */
export interface DriftConfig extends DriftRules {
  /** From one comparison of a cluster to the next; 0 for none. */
  readonly intervalMs: number;
}

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "silent";

/** `url` undefined: a private redis-server process in dataDir. */
export interface RedisConfig {
  readonly url: string | undefined;
  readonly password: SecretReference | undefined;
  readonly caFile: string | undefined;
}

export interface ServerConfig {
  readonly host: string;
  /** 0 for any that is free. */
  readonly port: number;
}

/** Where a secret is, never the secret. `read` loads it anew each time, so that rotated files are picked up. */
export interface SecretReference {
  /** `file /run/secrets/x` or `environment variable X`, for messages. */
  readonly source: string;
  read(): Promise<string>;
  toJSON(): string;
}

export interface RepositoryConfig {
  readonly name: string;
  readonly url: string;
  readonly branch: string;
  /** Folder of the manifests, "" for the whole repository, without leading or trailing slash. */
  readonly path: string;
  readonly pollMs: number;
  readonly auth: GitAuthConfig | undefined;
  readonly caFile: string | undefined;
  readonly proxy: string | undefined;
  readonly forge: ForgeConfig;
  /** What webhooks of this repository are known by (`forge.webhookSecretFile`); undefined: none are taken. */
  readonly webhookSecret?: SecretReference | undefined;
  /** Names of the default clusters. */
  readonly clusters: readonly string[];
  /** When syncs may begin something; always without any. */
  readonly windows?: readonly SyncWindow[];
  /** Whose signature a revision must bear to be synced; undefined: anybody's or none. */
  readonly signatures?: SignaturePolicy;
}

export interface GithubAppConfig {
  /** App id or client id. */
  readonly id: string;
  readonly privateKey: SecretReference;
  /** Looked up by the repository unless given. */
  readonly installationId: number | undefined;
}

export type GitAuthConfig =
  | { readonly kind: "token"; readonly username: string | undefined; readonly token: SecretReference }
  /** The short-lived tokens that the forge's App is given. */
  | { readonly kind: "forge-app" }
  | { readonly kind: "ssh"; readonly keyFile: string; readonly knownHostsFile: string | undefined };

export type ForgeConfig =
  | { readonly type: "none" }
  | {
      readonly type: "github";
      /** Derived from the repository's url unless given. */
      readonly apiUrl: string;
      readonly owner: string;
      readonly repository: string;
      /** One of `token` and `app` is there. */
      readonly token: SecretReference | undefined;
      readonly app?: GithubAppConfig | undefined;
      /** Whether what is applied to clusters is noted as deployments. */
      readonly deployments?: boolean | undefined;
      readonly caFile: string | undefined;
      readonly proxy: string | undefined;
    }
  | {
      readonly type: "gitlab";
      /** Derived from the repository's url unless given. */
      readonly apiUrl: string;
      /** Full path with all groups. */
      readonly project: string;
      readonly token: SecretReference;
      /** Whether what is applied to clusters is noted as deployments. */
      readonly deployments?: boolean | undefined;
      readonly caFile: string | undefined;
      readonly proxy: string | undefined;
    }
  | GiteaConfig<"gitea">
  | GiteaConfig<"forgejo">;

/** Gitea and Forgejo are told apart by name only. */
export interface GiteaConfig<Flavour extends "gitea" | "forgejo"> {
  readonly type: Flavour;
  /** Derived from the repository's url unless given. */
  readonly apiUrl: string;
  readonly owner: string;
  readonly repository: string;
  readonly token: SecretReference;
  readonly caFile: string | undefined;
  readonly proxy: string | undefined;
}

/** A cluster: what planning sees (`Cluster`) and how to reach it. */
export interface ClusterConfig extends Cluster {
  readonly hypercore: HypercoreConfig | undefined;
  readonly libvirt: LibvirtConfig | undefined;
  /** When syncs may begin something on this cluster; always without any. */
  readonly windows?: readonly SyncWindow[];
}

export interface HypercoreConfig {
  readonly endpoints: readonly string[];
  readonly username: string;
  readonly password: SecretReference;
  readonly auth: "basic" | "session";
  /** Whether addresses that the cluster tells of its nodes are used beside the configured ones. */
  readonly discoverNodes: boolean;
  readonly tls: {
    readonly insecure: boolean;
    readonly caFile: string | undefined;
    readonly fingerprint: string | undefined;
  };
}

export interface LibvirtConfig {
  /** As libvirt's own tools take it, e.g. `qemu:///system`; never with a password. */
  readonly uri: string;
  /** Storage pool for disks, images and seeds. */
  readonly pool: string;
  readonly machine: "q35" | "pc";
  /** `kvm` is required; `auto` falls back to emulation with a warning; `tcg` always emulates. */
  readonly accelerator: "kvm" | "auto" | "tcg";
  /** Whether a VM's disks are full copies of their image or qcow2 overlays on it. */
  readonly disks: "copy" | "overlay";
  /** CPUs a running VM can be given without a restart; undefined for none beyond its own. */
  readonly maxCpus: number | undefined;
  /** Machine type `tpm` boots with Secure Boot. */
  readonly secureBoot: boolean;
  /** Bus of the cloud-init CD-ROM. */
  readonly seedBus: "scsi" | "sata";
  /** Where serial consoles are logged: `pool`, `off`, or an absolute folder on the host. */
  readonly consoleLogs: string;
}

export interface AssetsConfig {
  readonly mirrors: readonly MirrorConfig[];
  /** Whether manifests may name `http:` URLs. */
  readonly allowHttp: boolean;
  readonly caFile: string | undefined;
  readonly proxy: string | undefined;
  /** Whether URLs of manifests may lead to private addresses. Link-local and metadata addresses never may. */
  readonly allowPrivate: boolean;
  /** Largest asset accepted, in bytes; undefined for any. */
  readonly maxAssetBytes: number | undefined;
  /** What downloads may take on disk together, in bytes. */
  readonly cache: { readonly maxBytes: number };
}

/** URLs beginning with `prefix` are fetched from `to` (a `file://` folder or another URL), on the named clusters or everywhere. */
export interface MirrorConfig {
  readonly prefix: string;
  readonly to: string;
  readonly clusters: readonly string[] | undefined;
}
