import type { GitRemote } from "./git-remote.ts";

export type GitAuth =
  | {
      readonly kind: "token";
      /** Any name does for most forges; GitHub Apps want `x-access-token`, which is the default. */
      readonly username?: string | undefined;
      /** Asked before every network call, so that short-lived tokens can be renewed. */
      readonly token: () => Promise<string>;
    }
  | {
      readonly kind: "ssh";
      readonly keyFile: string;
      /** Without it the host must be in the system's own known_hosts. An unknown host is always refused. */
      readonly knownHostsFile?: string | undefined;
      readonly user?: string | undefined;
    };

export interface EnvironmentOptions {
  readonly gitDir: string;
  readonly remote: GitRemote;
  readonly auth?: GitAuth | undefined;
  readonly caFile?: string | undefined;
  readonly proxy?: string | undefined;
  /** Longest silence on an HTTP connection, after which git itself gives up: also when nobody is left to end it. */
  readonly timeoutMs: number;
  /** What the program itself was started with; only the names below pass. */
  readonly inherited: Readonly<Record<string, string | undefined>>;
}

type Environment = Readonly<Record<string, string>>;
type Settings = readonly (readonly [key: string, value: string])[];

/** What a child needs to run at all, to find ssh keys' agent, certificates and the machine's proxy. Nothing named GIT_*. */
const inheritedNames =
  "PATH HOME USER LOGNAME TMPDIR LD_LIBRARY_PATH SYSTEMROOT SSH_AUTH_SOCK SSL_CERT_FILE SSL_CERT_DIR " +
  "http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY";

/**
 * The whole environment of commands on the mirror alone. Settings travel as GIT_CONFIG_* variables: they beat every file,
 * and show neither in the process list nor on disk.
 */
export function localEnvironment(options: EnvironmentOptions): Environment {
  return environment(options, localSettings(options.gitDir), { GIT_ALLOW_PROTOCOL: "" });
}

/** The environment of commands that talk to the remote, still without its credentials. */
export function networkEnvironment(options: EnvironmentOptions): Environment {
  const { remote } = options;
  return environment(options, [...localSettings(options.gitDir), ...networkSettings(options)], {
    GIT_ALLOW_PROTOCOL: allowedProtocols(remote),
    ...(remote.transport === "ssh" ? { GIT_SSH_COMMAND: sshCommand(options), GIT_SSH_VARIANT: "ssh" } : {}),
  });
}

/** The environment of commands that judge signatures: by these keys and these programs, whatever else the machine has. */
export function signatureEnvironment(
  options: EnvironmentOptions,
  keys: { readonly gnupgHome: string; readonly allowedSigners: string },
): Environment {
  const settings = [...localSettings(options.gitDir), ...signatureSettings(keys.allowedSigners)];
  return environment(options, settings, { GIT_ALLOW_PROTOCOL: "", GNUPGHOME: keys.gnupgHome });
}

function environment({ gitDir, inherited }: EnvironmentOptions, settings: Settings, special: Environment): Environment {
  const passed = inheritedNames.split(" ").flatMap((name) => {
    const value = inherited[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    ...Object.fromEntries(passed),
    LC_ALL: "C", // error texts are told apart in English
    GIT_DIR: gitDir, // never discover a repository in a folder above a damaged mirror
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_TEMPLATE_DIR: "", // no hooks from the machine's template
    GIT_TERMINAL_PROMPT: "0",
    GIT_NO_REPLACE_OBJECTS: "1",
    ...special,
    ...configVariables(settings),
  };
}

/** A plain-HTTP address may move up to HTTPS by redirect, nothing else changes its protocol. */
function allowedProtocols({ transport }: GitRemote): string {
  return transport === "http" ? "http:https" : transport;
}

function localSettings(gitDir: string): Settings {
  return [
    ["safe.directory", gitDir], // a volume may belong to another user than the process
    ["core.hooksPath", "/dev/null"],
    ["core.filesRefLockTimeout", "2000"], // ms; watcher and worker share one mirror
    ["core.packedRefsTimeout", "2000"],
    ["core.logAllRefUpdates", "always"], // the reflog keeps force-pushed commits from being pruned
    ["gc.reflogExpire", "180.days"],
    ["gc.reflogExpireUnreachable", "180.days"],
    ["gc.auto", "0"], // packing has its own moment: maintenance.ts
    ["maintenance.auto", "false"],
  ];
}

function signatureSettings(allowedSigners: string): Settings {
  return [
    ["gpg.program", "gpg"],
    ["gpg.openpgp.program", "gpg"],
    ["gpg.ssh.program", "ssh-keygen"],
    ["gpg.x509.program", "/dev/null"], // nothing that could be run: such signatures are refused before
    ["gpg.ssh.allowedSignersFile", allowedSigners],
    ["gpg.minTrustLevel", "undefined"], // being in the keys file is the trust
  ];
}

function networkSettings({ remote, auth, caFile, proxy, timeoutMs }: EnvironmentOptions): Settings {
  const ownCredentials = auth?.kind === "token" && remote.origin !== undefined;
  return [
    ["protocol.version", "2"], // only the asked refs are advertised, which keeps a poll cheap
    ["fetch.unpackLimit", "1"], // index-pack reports progress within an object, which unpack-objects does not
    ["http.followRedirects", "initial"],
    ["http.lowSpeedLimit", "1"], // bytes per second
    ["http.lowSpeedTime", String(Math.ceil(timeoutMs / 1_000) + 5)],
    ["credential.helper", ""],
    ...(ownCredentials ? ([[`credential.${remote.origin}.helper`, credentialHelper], proactive] as const) : []),
    ...(caFile === undefined ? [] : [["http.sslCAInfo", caFile] as const]),
    ...(proxy === undefined ? [] : [["http.proxy", proxy] as const]),
  ];
}

/** Understood by git >= 2.46: saves the first, refused request of every call. Only with a helper that can answer. */
const proactive = ["http.proactiveAuth", "basic"] as const;

/** git asks this only for the configured origin, so a redirect elsewhere never sees the token. */
const credentialHelper =
  '!f() { test "$1" = get && printf "username=%s\\npassword=%s\\n" "$KRAKEN_GIT_USERNAME" "$KRAKEN_GIT_PASSWORD"; }; f';

/** The variables that hold the credentials; given to network calls alone. */
export function credentialVariables(username: string, token: string): Environment {
  return { KRAKEN_GIT_USERNAME: username, KRAKEN_GIT_PASSWORD: token };
}

function configVariables(entries: Settings): Environment {
  const pairs = entries.flatMap(([key, value], index) => [
    [`GIT_CONFIG_KEY_${index}`, key] as const,
    [`GIT_CONFIG_VALUE_${index}`, value] as const,
  ]);
  return { GIT_CONFIG_COUNT: String(entries.length), ...Object.fromEntries(pairs) };
}

function sshCommand({ auth, remote }: EnvironmentOptions): string {
  const ssh = auth?.kind === "ssh" ? auth : undefined;
  const user = remote.user === undefined ? ssh?.user : undefined;
  return [
    "ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=yes",
    "-o ConnectTimeout=20 -o ServerAliveInterval=15 -o ServerAliveCountMax=2",
    ...(ssh ? ["-o IdentitiesOnly=yes -i", quote(ssh.keyFile)] : []),
    ...(ssh?.knownHostsFile === undefined ? [] : ["-o", quote(`UserKnownHostsFile="${ssh.knownHostsFile}"`)]),
    ...(user === undefined ? [] : ["-o", quote(`User=${user}`)]),
  ].join(" ");
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
