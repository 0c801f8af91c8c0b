import type { ClusterLimits } from "../fleet/cluster.ts";
import { minimumMemoryBytes } from "../manifest/parse-virdomain.ts";
import type { ClusterConfig, HypercoreConfig } from "./config.ts";
import type { ConfigPath } from "./config-problem.ts";
import type { RawCluster, RawHypercore, RawNetwork } from "./raw.ts";
import { isLoopback, type ResolveContext } from "./resolve-context.ts";
import { resolveLibvirt } from "./resolve-libvirt.ts";
import { resolveWindows } from "./resolve-windows.ts";

export function resolveCluster(raw: RawCluster, at: ConfigPath, context: ResolveContext): ClusterConfig {
  if ((raw.hypercore === undefined) === (raw.libvirt === undefined)) {
    context.problem(at, "give exactly one of hypercore and libvirt");
  }
  const driver = raw.libvirt === undefined ? "hypercore" : "libvirt";
  checkNetworks(raw, driver, at, context);
  return {
    name: raw.name,
    id: raw.id ?? raw.name,
    driver,
    labels: raw.labels ?? {},
    variables: raw.variables ?? {},
    networks: raw.networks,
    ...(raw.limits === undefined ? {} : { limits: resolveLimits(raw.limits, [...at, "limits"], context) }),
    hypercore: raw.hypercore && resolveHypercore(raw.hypercore, [...at, "hypercore"], context),
    libvirt: raw.libvirt && resolveLibvirt(raw.libvirt, [...at, "libvirt"], context),
    ...resolveWindows(raw.windows, [...at, "windows"], context),
  };
}

function resolveLimits(
  { memory, cpu }: NonNullable<RawCluster["limits"]>,
  at: ConfigPath,
  context: ResolveContext,
): ClusterLimits {
  const memoryBytes = context.size(memory, [...at, "memory"]);
  if (memoryBytes !== undefined && memoryBytes < minimumMemoryBytes)
    context.problem([...at, "memory"], "must be at least 64 MiB: no VM can have less");
  return { ...(memoryBytes === undefined ? {} : { memoryBytes }), ...(cpu === undefined ? {} : { cpu }) };
}

function checkNetworks(
  { networks }: RawCluster,
  driver: ClusterConfig["driver"],
  at: ConfigPath,
  context: ResolveContext,
): void {
  for (const [name, target] of Object.entries(networks ?? {})) {
    const fault = driver === "hypercore" ? hypercoreNetworkFault(target) : libvirtNetworkFault(target);
    if (fault !== undefined) context.problem([...at, "networks", name], fault);
  }
}

function hypercoreNetworkFault({ vlan, ...others }: RawNetwork): string | undefined {
  return vlan === undefined || Object.keys(others).length > 0 ? "HyperCore takes a vlan, and nothing else" : undefined;
}

/** A Linux bridge cannot tag: libvirt refuses such a VM when it starts. */
function libvirtNetworkFault({ vlan, ...places }: RawNetwork): string | undefined {
  const given = Object.keys(places);
  if (given.length === 0 && vlan !== undefined)
    return `libvirt takes a network or a bridge, not a bare VLAN: name the libvirt network that VLAN ${vlan} is on (network: ...)`;
  if (given.length !== 1) return "give exactly one of network, bridge and user";
  if (vlan !== undefined && places.network === undefined)
    return "a vlan stands beside a network only, one of Open vSwitch or SR-IOV";
  return undefined;
}

function resolveHypercore(raw: RawHypercore, at: ConfigPath, context: ResolveContext): HypercoreConfig | undefined {
  for (const [index, endpoint] of raw.endpoints.entries())
    checkEndpoint(endpoint, [...at, "endpoints", index], context);
  const password = context.secret(raw, "password", at, true);
  const tls = raw.tls ?? {};
  if (raw.caFile !== undefined && tls.caFile !== undefined) {
    context.problem([...at, "caFile"], "is the same as tls.caFile: give one of them");
  }
  if (tls.insecure === true) {
    context.warning(
      [...at, "tls", "insecure"],
      "any certificate is accepted: somebody in between could read the password",
    );
  }
  if (password === undefined) return undefined;
  return {
    endpoints: raw.endpoints.map((endpoint) => endpoint.replace(/\/+$/, "")),
    username: raw.username,
    password,
    auth: raw.auth ?? "basic",
    discoverNodes: raw.discoverNodes ?? true,
    tls: {
      insecure: tls.insecure ?? false,
      caFile: context.file(tls.caFile ?? raw.caFile),
      fingerprint: tls.fingerprint,
    },
  };
}

function checkEndpoint(endpoint: string, at: ConfigPath, context: ResolveContext): void {
  const url = context.url(endpoint, at, ["https:", "http:"]);
  if (url?.protocol === "http:" && !isLoopback(url)) context.warning(at, "http:// sends the password unencrypted");
}
