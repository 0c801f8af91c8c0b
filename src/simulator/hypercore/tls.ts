import { generateKeyPairSync, type KeyObject, randomBytes, sign, X509Certificate } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/**
 * One self-signed certificate per node, kept in `file` (certificates, usable as a CA file) and `<file>.key`, so that a
 * restarted cluster shows the same ones.
 */
export function ensureCertificates(file: string, hosts: readonly string[]): readonly Certificate[] {
  const keyFile = `${file}.key`;
  if (existsSync(file) && existsSync(keyFile)) {
    const keys = splitPem(readFileSync(keyFile, "utf8"));
    const known = splitPem(readFileSync(file, "utf8")).map((cert, index) => ({ cert, key: keys[index] ?? "" }));
    if (hosts.every((host, node) => isFor(known[node]?.cert, host))) return known.slice(0, hosts.length);
  }
  const made = hosts.map((host, node) => selfSigned(`node-${node + 1}.simulator.invalid`, host));
  writeFileSync(keyFile, made.map(({ key }) => key).join(""), { mode: 0o600 });
  writeFileSync(file, made.map(({ cert }) => cert).join(""));
  return made;
}

/** A cluster may come back on other addresses than the ones its certificates name. */
function isFor(cert: string | undefined, host: string): boolean {
  return cert !== undefined && (isIP(host) === 0 || new X509Certificate(cert).checkIP(host) !== undefined);
}

function splitPem(text: string): readonly string[] {
  return text.match(/-----BEGIN [^]+?-----END [^\n]+\n/g) ?? [];
}

/** An X.509 v3 certificate (RFC 5280) for localhost and one address: P-256, ten years, its own CA. */
function selfSigned(commonName: string, host: string): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const name = sequence(tlv(0x31, sequence(oid("550403"), tlv(0x0c, Buffer.from(commonName)))));
  const body = sequence(
    tlv(0xa0, tlv(0x02, Buffer.from([2]))),
    tlv(0x02, Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    ecdsaWithSha256,
    name,
    sequence(utcTime(-1), utcTime(3650)),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    tlv(0xa3, sequence(alternativeNames(host), basicConstraints)),
  );
  return {
    cert: certificatePem(body, privateKey),
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

function certificatePem(body: Buffer, key: KeyObject): string {
  const signature = Buffer.concat([Buffer.from([0]), sign("sha256", body, key)]);
  const der = sequence(body, ecdsaWithSha256, tlv(0x03, signature));
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}

const ecdsaWithSha256 = sequence(oid("2a8648ce3d040302"));
const basicConstraints = sequence(
  oid("551d13"),
  tlv(0x01, Buffer.from([0xff])),
  tlv(0x04, sequence(tlv(0x01, Buffer.from([0xff])))),
);

function alternativeNames(host: string): Buffer {
  const addresses = [...new Set(["127.0.0.1", host])].filter((address) => isIP(address) === 4);
  const encoded = addresses.map((address) => tlv(0x87, Buffer.from(address.split(".").map(Number))));
  return sequence(oid("551d11"), tlv(0x04, sequence(tlv(0x82, Buffer.from("localhost")), ...encoded)));
}

function utcTime(days: number): Buffer {
  const digits = new Date(Date.now() + days * 86_400_000).toISOString().replace(/[-:T]/g, "").slice(2, 14);
  return tlv(0x17, Buffer.from(`${digits}Z`));
}

function oid(hex: string): Buffer {
  return tlv(0x06, Buffer.from(hex, "hex"));
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tlv(0x30, Buffer.concat(parts));
}

/** One DER element: tag, length, content. */
function tlv(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}
