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
  return findHttpFault(text);
}

function findHttpFault(text: string): UrlFault | undefined {
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
  const checksum = /^#sha256=(.*)$/i.exec(url.hash)?.[1];
  if (checksum !== undefined && !/^[0-9a-f]{64}$/i.test(checksum)) {
    return {
      code: "invalid-url",
      message: "the sha256 is not 64 hex digits",
      hint: "end the URL with #sha256=<64 hex digits>",
    };
  }
  return undefined;
}

/** The format an ending tells, or `raw`. */
export function formatOfUrl(url: string): string {
  const ending = /\.([A-Za-z0-9]+)(?:[?#].*)?$/.exec(url)?.[1]?.toLowerCase();
  return ending !== undefined && ["qcow2", "vmdk", "vhd", "vhdx", "iso"].includes(ending) ? ending : "raw";
}
