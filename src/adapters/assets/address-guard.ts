import { lookup } from "node:dns";
import { BlockList, type LookupFunction, isIP } from "node:net";

/** Addresses that answer with a machine's own secrets; no manifest may have them fetched, mirror or not. */
const metadata = new BlockList();
metadata.addSubnet("169.254.0.0", 16, "ipv4");
metadata.addAddress("100.100.100.200", "ipv4");
metadata.addSubnet("fe80::", 10, "ipv6");
metadata.addAddress("fd00:ec2::254", "ipv6");

const privateNetworks = new BlockList();
for (const [net, bits] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
] as const) {
  privateNetworks.addSubnet(net, bits, "ipv4");
}
privateNetworks.addSubnet("::", 127, "ipv6");
privateNetworks.addSubnet("fc00::", 7, "ipv6");

/** Thrown into a connection attempt; its message is for the operator. */
export class ForbiddenAddress extends Error {
  override readonly name = "ForbiddenAddress";
}

/** Says why an address may not be connected to, or undefined. */
export function forbiddenAddress(address: string, denyPrivate: boolean): string | undefined {
  const plain = address.replace(/^\[|\]$/g, "").replace(/^::ffff:(?=\d+\.)/i, "");
  const family = isIP(plain);
  if (family === 0) return undefined;
  const kind = family === 6 ? "ipv6" : "ipv4";
  if (metadata.check(plain, kind)) return `${plain} is a link-local or metadata address`;
  return denyPrivate && privateNetworks.check(plain, kind) ? `${plain} is a private address` : undefined;
}

/** Name resolution for sockets: checks what a name really leads to at the moment of connecting. */
export function guardedLookup(denyPrivate: boolean): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, "", 0);
      const complaint = addresses
        .map(({ address }) => forbiddenAddress(address, denyPrivate))
        .find((why) => why !== undefined);
      if (complaint !== undefined) return callback(new ForbiddenAddress(`${hostname} leads to ${complaint}`), "", 0);
      if (options.all === true) return callback(null, addresses);
      const [first] = addresses;
      return first === undefined
        ? callback(new Error(`${hostname} has no address`), "", 0)
        : callback(null, first.address, first.family);
    });
  };
}
