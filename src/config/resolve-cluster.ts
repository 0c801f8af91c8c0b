import type { ClusterConfig, HypercoreConfig } from "./config.ts";
import type { ConfigPath } from "./config-problem.ts";
import type { RawCluster, RawHypercore } from "./raw.ts";
import { isLoopback, type ResolveContext } from "./resolve-context.ts";

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
    hypercore: raw.hypercore && resolveHypercore(raw.hypercore, [...at, "hypercore"], context),
    libvirt: raw.libvirt && { uri: raw.libvirt.uri, pool: raw.libvirt.pool },
  };
}

function checkNetworks(
  { networks }: RawCluster,
  driver: ClusterConfig["driver"],
  at: ConfigPath,
  context: ResolveContext,
): void {
  for (const [name, target] of Object.entries(networks ?? {})) {
    const place = [...at, "networks", name];
    const given = Object.keys(target);
    if (given.length !== 1) context.problem(place, "give exactly one of vlan, network and bridge");
    else if (driver === "hypercore" && target.vlan === undefined) context.problem(place, "HyperCore takes a vlan");
    else if (driver === "libvirt" && target.vlan !== undefined)
      context.problem(place, "libvirt takes a network or a bridge");
  }
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
