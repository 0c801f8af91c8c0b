import { readFile } from "node:fs/promises";
import { TLSSocket } from "node:tls";
import { buildConnector } from "undici";
import { WatcherError } from "../../../lib/errors.ts";
import type { HypercoreOptions, TlsOptions } from "../options.ts";

/** No connection came about: nothing was sent, so even a changing call may go to another node. */
export class ConnectFailure extends Error {
  override readonly name = "ConnectFailure";
}

/**
 * Opens sockets to nodes. Factory certificates are self-signed and per node, so there are three ways to trust one:
 * a CA file, a pinned fingerprint, or not at all.
 */
export async function openConnector(options: HypercoreOptions, connectMs: number): Promise<buildConnector.connector> {
  const tls = options.tls ?? {};
  const pins = fingerprints(tls);
  const ca = tls.caFile === undefined ? undefined : await readCaFile(options.cluster, tls.caFile);
  if (tls.insecure === true)
    options.log?.("warn", { cluster: options.cluster }, "TLS certificates of this cluster are not verified");
  const connect = buildConnector({
    timeout: connectMs,
    ...(ca === undefined ? {} : { ca }),
    // A resumed session shows no certificate, which would defeat the pin.
    ...(pins.length > 0 ? { rejectUnauthorized: false, maxCachedSessions: 0 } : {}),
    ...(tls.insecure === true ? { rejectUnauthorized: false } : {}),
  });
  return (target, callback) => {
    connect(target, (error, socket) => {
      if (error !== null) return callback(new ConnectFailure(explain(error), { cause: error }), null);
      const complaint = pins.length > 0 ? checkPin(socket, pins) : undefined;
      if (complaint === undefined) return callback(null, socket);
      socket.destroy();
      return callback(new ConnectFailure(complaint), null);
    });
  };
}

function fingerprints(tls: TlsOptions): string[] {
  return (tls.fingerprint ?? "")
    .split(/[\s,]+/)
    .map(plainFingerprint)
    .filter((pin) => pin !== "");
}

function plainFingerprint(text: string): string {
  return text
    .toLowerCase()
    .replace(/^sha-?256[:=]/, "")
    .replaceAll(":", "");
}

function checkPin(socket: unknown, pins: readonly string[]): string | undefined {
  if (!(socket instanceof TLSSocket)) return undefined;
  const seen = plainFingerprint(socket.getPeerCertificate().fingerprint256 ?? "");
  return pins.includes(seen) ? undefined : `its certificate has the fingerprint ${seen}, which is not the pinned one`;
}

async function readCaFile(cluster: string, file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new WatcherError("config-invalid", `cluster ${cluster}: cannot read caFile ${file}`, { cause });
  }
}

function explain(error: Error): string {
  const code = "code" in error ? String(error.code) : "";
  const untrusted = /SELF_SIGNED|UNABLE_TO_VERIFY|ALTNAME|CERT/.test(code);
  const text = error.message === "" ? code : error.message;
  return untrusted ? `${text} (give the cluster a caFile or a fingerprint)` : text;
}
