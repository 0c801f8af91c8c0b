import { isAbsolute } from "node:path";
import { WatcherError } from "../../lib/errors.ts";

/** A repository address as configured, taken apart once. */
export interface GitRemote {
  readonly url: string;
  readonly transport: "https" | "http" | "ssh" | "git" | "file";
  /** `https://host:port` for HTTP remotes: credentials go nowhere else. */
  readonly origin: string | undefined;
  /** The user named in the address (`git` in `ssh://git@host/...`). */
  readonly user: string | undefined;
}

const schemes = { "https:": "https", "http:": "http", "ssh:": "ssh", "git:": "git", "file:": "file" } as const;

/**
 * Reads a repository address: http(s), ssh, git, file URLs, `user@host:path`, or an absolute folder.
 * Throws `config-invalid` for anything else; so `ext::` and other remote helpers, which run commands, are never reached.
 */
export function parseRemote(url: string): GitRemote {
  if (/[\0-\x20\x7f]/.test(url) || url.startsWith("-"))
    throw invalid("The repository address has blanks or begins with a dash.");
  if (isAbsolute(url)) return { url, transport: "file", origin: undefined, user: undefined };
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(url)) return parseUrl(url);
  const scpLike = /^(?:([^@:/]+)@)?[^@:/]+:(?!:)./.exec(url);
  if (scpLike) return { url, transport: "ssh", origin: undefined, user: scpLike[1] };
  throw invalid(
    `"${url}" is no repository address: write https://, ssh://, file://, user@host:path or an absolute folder.`,
  );
}

function parseUrl(url: string): GitRemote {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const transport = parsed && schemes[parsed.protocol as keyof typeof schemes];
  if (!parsed || !transport)
    throw invalid(`The scheme of "${maskUrls(url)}" is not one of https, http, ssh, git, file.`);
  if (parsed.password !== "") {
    throw invalid(
      `Take the password out of "${maskUrls(url)}" and give it as a token by file or environment variable.`,
    );
  }
  const http = transport === "https" || transport === "http";
  return {
    url,
    transport,
    origin: http ? parsed.origin : undefined,
    user: parsed.username === "" ? undefined : decodeURIComponent(parsed.username),
  };
}

/** Hides credentials in every URL of a text. */
export function maskUrls(text: string): string {
  return text.replace(/([a-z][a-z0-9+.-]*:\/\/)[^\s/@'"]*:[^\s/@'"]*@/gi, "$1***@");
}

/** Refuses names that git would read as an option, a pattern or a revision expression (git-check-ref-format). */
export function assertRefName(ref: string): void {
  const bad = /[\0-\x20\x7f~^:?*[\\]|\.\.|@\{|\/\/|^[/-]|[/.]$|\.lock$|^$/.test(ref);
  if (bad) throw invalid(`"${ref}" is not a valid branch or ref name.`);
}

function invalid(message: string): WatcherError {
  return new WatcherError("config-invalid", message);
}
