import type { ProblemCode } from "./problem-codes.ts";

export interface UrlFault {
  readonly code: Extract<ProblemCode, "invalid-url" | "insecure-url">;
  readonly message: string;
  readonly hint: string;
}

/** What keeps an asset's URL from being fetched, or undefined. Never repeats credentials. */
export function findUrlFault(text: string, allowHttp: boolean): UrlFault | undefined {
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) return { code: "invalid-url", message: "the URL has no scheme", hint: "write https://..." };
  if (scheme === "http" && !allowHttp) {
    return {
      code: "insecure-url",
      message: "plain http is not allowed here",
      hint: "use https, or allow http in the configuration",
    };
  }
  if (scheme !== "https" && scheme !== "http") {
    return {
      code: "invalid-url",
      message: `${scheme}: URLs are not fetched`,
      hint: "use https; for local files map a URL prefix to a folder in the configuration",
    };
  }
  return findHttpFault(text, allowHttp);
}

function findHttpFault(text: string, allowHttp: boolean): UrlFault | undefined {
  if (!URL.canParse(text) || /\s/.test(text))
    return { code: "invalid-url", message: "this is no URL", hint: "write https://host/path" };
  const url = new URL(text);
  if (url.username !== "" || url.password !== "") {
    return {
      code: "invalid-url",
      message: "the URL holds credentials",
      hint: "credentials do not belong in git: use a mirror from the configuration",
    };
  }
  const checksum = readChecksum(text);
  if (checksum.kind === "fault") return { code: "invalid-url", message: checksum.message, hint: checksum.hint };
  if (checksum.kind !== "file") return undefined;
  const fault = findUrlFault(checksum.url, allowHttp);
  return fault === undefined ? undefined : { ...fault, message: `its checksum file: ${fault.message}` };
}

/** What the end of an asset's URL says of its content: its hash, or where its hash is written. */
export type AssetChecksum =
  | { readonly kind: "none" }
  /** 64 hex digits in lower case. */
  | { readonly kind: "sha256"; readonly sha256: string }
  | { readonly kind: "file"; readonly url: string }
  | { readonly kind: "fault"; readonly message: string; readonly hint: string };

const checksumHint = "end the URL with #sha256=<64 hex digits>, or name a checksum file beside it: #sha256=SHA256SUMS";

/** Reads `#sha256=<64 hex digits>` and `#sha256=<checksum file>`, the latter relative to the asset's own URL. */
export function readChecksum(text: string): AssetChecksum {
  const [address = "", fragment = ""] = splitOnce(text, "#");
  if (fragment === "") return { kind: "none" };
  const value = /^sha256[=:](.*)$/i.exec(fragment)?.[1];
  if (value === undefined)
    return { kind: "fault", message: "what follows # in the URL must be sha256=", hint: checksumHint };
  if (/^[0-9a-f]{64}$/i.test(value)) return { kind: "sha256", sha256: value.toLowerCase() };
  // No checksum file is called so: a hash that was cut off, or one of another kind.
  if (/^[0-9a-f]*$/i.test(value))
    return { kind: "fault", message: "the sha256 is not 64 hex digits", hint: checksumHint };
  const url = URL.canParse(value, address) ? new URL(value, address) : undefined;
  if (url === undefined || url.pathname.endsWith("/") || url.hash !== "" || url.href === new URL(address).href)
    return { kind: "fault", message: "what follows #sha256= names no checksum file", hint: checksumHint };
  return { kind: "file", url: url.href };
}

function splitOnce(text: string, separator: string): readonly string[] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + separator.length)];
}

/** The format an ending tells, or `raw`. */
export function formatOfUrl(url: string): string {
  const [address = ""] = splitOnce(url, "#");
  const ending = /\.([A-Za-z0-9]+)(?:\?.*)?$/.exec(address)?.[1]?.toLowerCase();
  return ending !== undefined && ["qcow2", "vmdk", "vhd", "vhdx", "iso"].includes(ending) ? ending : "raw";
}
