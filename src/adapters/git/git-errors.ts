import { type ErrorCode, WatcherError } from "../../lib/errors.ts";
import { maskUrls } from "./git-remote.ts";

/** What was being done, for the sentence an operator reads. */
export interface GitAttempt {
  /** "fetch branch main", "read commit 1a2b3c4" */
  readonly doing: string;
  /** The repository's address; its credentials are masked here once more. */
  readonly remote: string;
  readonly secrets: readonly string[];
}

interface Rule {
  readonly code: ErrorCode;
  readonly pattern: RegExp;
  readonly advice: string;
}

/**
 * First match wins: what only a person can mend comes before the network's many ways to fail, because git often adds
 * "Could not read from remote repository" or "the remote end hung up" to both. Texts: git 2.39-2.47 and OpenSSH 9 in the C
 * locale (LC_ALL=C), libcurl 7.88-8.
 */
const rules: readonly Rule[] = [
  {
    code: "git-auth-failed",
    pattern: /Host key verification failed|No \S+ host key is known|REMOTE HOST IDENTIFICATION HAS CHANGED/,
    advice: "The server's SSH host key is not known: add it to the known_hosts file after checking its fingerprint.",
  },
  {
    code: "git-auth-failed",
    pattern: /Permission denied \([a-z0-9,-]+\)|Load key .*:|Too many authentication failures/,
    advice: "The server refused the SSH key: check that its public half is a deploy key of this repository.",
  },
  {
    code: "git-auth-failed",
    pattern: /HTTP code 407|response 407|error: 407|Proxy Authentication Required/i,
    advice: "The proxy asks for credentials: put them into the proxy's address.",
  },
  {
    code: "git-auth-failed",
    pattern:
      /Authentication failed for|could not read (Username|Password) for|error: 40[13]\b|HTTP Basic: Access denied|Write access to repository not granted/,
    advice: "The server refused the credentials: check that the token is valid and may read this repository.",
  },
  {
    code: "git-repository-missing",
    pattern:
      /repository '.*' not found|ERROR: Repository not found|does not appear to be a git repository|not valid: is this a git repository|error: 40[04]\b|error: 410\b|project you were looking for could not be found|Cannot find repository|repository .* does not exist/i,
    advice:
      "There is no such repository, or these credentials may not see it: check the address and the token's rights.",
  },
  {
    code: "git-repository-missing",
    pattern: /unable to update url base from redirection|error: 30[1278]\b/,
    advice: "The server sent us to another address: write the repository's final address (often ending in .git).",
  },
  {
    code: "git-failed",
    pattern: /detected dubious ownership/,
    advice: "The repository's folder belongs to another user: give it to the user this program runs as.",
  },
  {
    code: "git-failed",
    pattern: /transport '.*' not allowed|protocol '.*' is not supported/,
    advice: "The repository asks for a protocol other than that of its configured address, which is refused.",
  },
  {
    code: "git-branch-missing",
    pattern: /couldn't find remote ref refs\/heads\//,
    advice:
      "The branch is not there: was it renamed or deleted? Nothing is changed until it is back or configured anew.",
  },
  {
    code: "git-revision-missing",
    pattern:
      /couldn't find remote ref|not our ref|unadvertised object|[Bb]ad (object|revision)|[Nn]ot a valid (object|commit) name|unknown revision|Invalid revision range|not a tree object|not something we can merge/,
    advice: "The commit is not on the remote (any more): a force push may have replaced it.",
  },
  {
    code: "git-unreachable",
    pattern: /unexpected TLS packet|wrong version number|packet length too long/i,
    advice: "The server does not speak TLS there: check scheme and port of the address.",
  },
  {
    code: "git-unreachable",
    pattern:
      /certificate|SSL routines|SSL_connect|gnutls_handshake|error setting certificate|unable to get local issuer|TLS connect error/i,
    advice: "The server's certificate was not accepted: set caFile to the authority that signed it.",
  },
  {
    code: "git-unreachable",
    pattern: /Could not resolve (host|hostname|proxy)|Name or service not known|Temporary failure in name resolution/i,
    advice: "Its name could not be resolved; it is tried again.",
  },
  {
    code: "git-unreachable",
    pattern:
      /Failed to connect|Connection (refused|timed out|reset|closed)|timed out|Network is unreachable|No route to host|unable to connect|kex_exchange_identification|HTTP code \d+ from proxy|CONNECT tunnel failed|Couldn't connect to server/i,
    advice: "No connection could be made; it is tried again.",
  },
  {
    code: "git-unreachable",
    pattern: /error: 429\b|error: 5\d\d\b/,
    advice: "The server is overloaded or in maintenance; it is tried again.",
  },
  {
    code: "git-unreachable",
    pattern:
      /early EOF|unexpected disconnect|hung up|RPC failed|Empty reply|Recv failure|transfer closed|unable to access|Could not read from remote repository|invalid index-pack output|curl \d+/i,
    advice: "The connection broke off; it is tried again.",
  },
  {
    code: "git-failed",
    pattern: /No space left on device|Disk quota exceeded/,
    advice: "The disk under the data folder is full.",
  },
  { code: "git-failed", pattern: /ENOENT/, advice: "The git program was not found: install git." },
];

const unknown: Rule = { code: "git-failed", pattern: /(?:)/, advice: "It is tried again." };

/** Turns what git printed into the product's error. */
export function gitError(stderr: string, exitCode: number, attempt: GitAttempt, cause?: unknown): WatcherError {
  const rule = rules.find(({ pattern }) => pattern.test(stderr)) ?? unknown;
  const said = lastWords(stderr, attempt.secrets) || `it ended with code ${exitCode}`;
  const remote = mask(attempt.remote, attempt.secrets);
  return new WatcherError(rule.code, `Could not ${attempt.doing} of ${remote}. ${rule.advice} (git: ${said})`, {
    cause,
  });
}

/** Two processes met in one mirror: the same call works a moment later. */
export function isLockClash(stderr: string): boolean {
  return /Unable to create '.*\.lock'|cannot lock ref|unable to update local ref|could not lock/i.test(stderr);
}

/** The lock file of a clash, when git names it. */
export function lockFileOf(stderr: string): string | undefined {
  return /Unable to create '(.+\.lock)'/.exec(stderr)?.[1];
}

/** The mirror on disk is damaged. Lines from the server (`remote:`) do not count: its damage is not ours. */
export function isDamage(stderr: string): boolean {
  const own = stderr
    .split("\n")
    .filter((line) => !line.startsWith("remote:"))
    .join("\n");
  return damage.test(own);
}

const damage =
  /object file .* is empty|loose object .* is corrupt|is corrupt|packfile .* (cannot be|is too small|claims to have|signature mismatch)|pack has bad object|does not point to a valid object|bad object refs\/kraken|unable to (read|find) [0-9a-f]{40}|could not parse commit|missing (blob|tree|commit)|not a git repository|index file .* is too small|inflate: data stream error|unable to unpack|invalid sha1 pointer|wrong index v\d file size|did not send all necessary objects|file .*\.pack is not a GIT packfile|bad config line|Could not read [0-9a-f]{40}|non-monotonic index|unable to parse object|garbage at end of loose object|hash mismatch/;

/** Hides credentials, terminal control characters and the token in every form it travels in. */
function mask(text: string, secrets: readonly string[]): string {
  let masked = maskUrls(text);
  for (const secret of secrets.filter((value) => value.length > 0)) {
    for (const form of [secret, encodeURIComponent(secret), Buffer.from(secret).toString("base64")]) {
      masked = masked.replaceAll(form, "***");
    }
  }
  return masked;
}

/** The lines that say what went wrong, on one line and short; progress and hints left out. */
function lastWords(stderr: string, secrets: readonly string[]): string {
  const lines = mask(stderr, secrets)
    .split(/[\r\n]+/)
    .map((line) => line.replace(/\p{Cc}/gu, " ").trim())
    .filter((line) => /^(fatal|error|ERROR|remote|ssh|kex|Host key|.*Permission denied)/.test(line))
    .filter((line) => !/^remote: .*(\d%|objects: \d|^remote: Total)/.test(line)); // progress
  return lines.slice(0, 3).join("; ").slice(0, 300);
}
