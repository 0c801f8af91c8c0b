import { describe, expect, it } from "vitest";
import { gitError, isDamage, isLockClash, lockFileOf } from "./git-errors.ts";

const attempt = { doing: "fetch branch main", remote: "https://git.example/fleet.git", secrets: ["s3cret"] };
const unreadable =
  "fatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\n";

/** As printed by git 2.39 with GnuTLS or OpenSSL, OpenSSH 9, and the forges named. */
const table: readonly (readonly [code: string, stderr: string])[] = [
  ["git-auth-failed", "fatal: Authentication failed for 'http://127.0.0.1:38713/fleet.git/'\n"],
  ["git-auth-failed", "fatal: could not read Username for 'http://127.0.0.1:38713': terminal prompts disabled\n"],
  ["git-auth-failed", "fatal: unable to access 'http://127.0.0.1/fleet.git/': The requested URL returned error: 403\n"],
  [
    "git-auth-failed",
    "remote: HTTP Basic: Access denied. The provided password or token is incorrect\nfatal: Authentication failed for 'x'\n",
  ],
  ["git-auth-failed", `git@github.com: Permission denied (publickey).\r\n${unreadable}`],
  [
    "git-auth-failed",
    `No ED25519 host key is known for github.com and you have requested strict checking.\r\nHost key verification failed.\r\n${unreadable}`,
  ],
  ["git-auth-failed", "fatal: unable to access 'https://127.0.0.1/fleet.git/': CONNECT tunnel failed, response 407\n"],
  [
    "git-auth-failed",
    "fatal: unable to access 'http://127.0.0.1/fleet.git/': Received HTTP code 407 from proxy after CONNECT\n",
  ],
  ["git-repository-missing", "fatal: repository 'http://127.0.0.1:38713/nothere.git/' not found\n"],
  ["git-repository-missing", `fatal: '/srv/nope.git' does not appear to be a git repository\n${unreadable}`],
  ["git-repository-missing", `ERROR: Repository not found.\r\n${unreadable}`],
  [
    "git-repository-missing",
    `remote: The project you were looking for could not be found or you don't have permission to view it.\n${unreadable}`,
  ],
  ["git-branch-missing", "fatal: couldn't find remote ref refs/heads/main\n"],
  ["git-revision-missing", "fatal: couldn't find remote ref refs/pull/9/head\n"],
  ["git-revision-missing", "fatal: remote error: upload-pack: not our ref 0123456789012345678901234567890123456789\n"],
  ["git-revision-missing", "fatal: bad object ffffffffffffffffffffffffffffffffffffffff\n"],
  ["git-revision-missing", "fatal: Not a valid commit name ffffffffffffffffffffffffffffffffffffffff\n"],
  ["git-unreachable", "fatal: unable to access 'http://127.0.0.1/fleet.git/': The requested URL returned error: 503\n"],
  [
    "git-unreachable",
    "fatal: unable to access 'http://127.0.0.1:1/x.git/': Failed to connect to 127.0.0.1 port 1 after 0 ms: Couldn't connect to server\n",
  ],
  [
    "git-unreachable",
    "fatal: unable to access 'https://nothing.invalid/x.git/': Could not resolve host: nothing.invalid\n",
  ],
  ["git-unreachable", `ssh: connect to host 127.0.0.1 port 1: Connection refused\r\n${unreadable}`],
  ["git-unreachable", `ssh: Could not resolve hostname nothing.invalid: Name or service not known\r\n${unreadable}`],
  [
    "git-unreachable",
    "error: RPC failed; curl 18 transfer closed with outstanding read data remaining\nfatal: early EOF\nfatal: unpack-objects failed\n",
  ],
  [
    "git-unreachable",
    "fatal: unable to access 'https://127.0.0.1/x/': server certificate verification failed. CAfile: none CRLfile: none\n",
  ],
  [
    "git-unreachable",
    "fatal: unable to access 'https://127.0.0.1/x/': SSL certificate problem: self-signed certificate\n",
  ],
  [
    "git-unreachable",
    "fatal: unable to access 'https://127.0.0.1/x/': gnutls_handshake() failed: An unexpected TLS packet was received.\n",
  ],
  ["git-failed", "fatal: detected dubious ownership in repository at '/srv/fleet.git'\n"],
  ["git-failed", "fatal: write error: No space left on device\n"],
  ["git-failed", "fatal: something nobody has seen before\n"],
  ["git-failed", ""],
];

describe("git errors", () => {
  it.each(table)("become %s: %j", (code, stderr) => {
    const error = gitError(stderr, 128, attempt);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(/^Could not fetch branch main of https:\/\/git\.example\/fleet\.git\. [A-Z].*[.)]$/);
  });

  it("hide the token in every form and credentials in URLs", () => {
    const encoded = Buffer.from("s3cret").toString("base64");
    const error = gitError(`fatal: https://me:other@host/ s3cret ${encoded}\n`, 128, attempt);
    for (const secret of ["s3cret", encoded, "other"]) expect(error.message).not.toContain(secret);
  });

  it("quote the lines that matter on one line, without progress and control characters", () => {
    const stderr =
      "remote: Counting objects:  50% (2/4)        \rremote: denied by \u001b[31mpolicy\u001b[0m\nerror: RPC failed\n";
    const { message } = gitError(stderr, 1, attempt);
    expect(message).toContain("(git: remote: denied by  [31mpolicy [0m; error: RPC failed)");
  });

  it("tell a lost race for a lock, and which file it was about", () => {
    const taken = "error: cannot lock ref 'refs/kraken/x': Unable to create '/m/refs/kraken/x.lock': File exists.\n";
    expect(isLockClash(taken)).toBe(true);
    expect(lockFileOf(taken)).toBe("/m/refs/kraken/x.lock");
    expect(isLockClash("error: cannot lock ref 'refs/kraken/x': is at 1a but expected 2b\n")).toBe(true);
    expect(isLockClash("fatal: couldn't find remote ref refs/heads/main\n")).toBe(false);
  });

  it("tell damage of the mirror from damage of the remote and from absent commits", () => {
    expect(isDamage("error: object file objects/1a/2b is empty\nfatal: loose object 1a2b is corrupt\n")).toBe(true);
    expect(isDamage("fatal: not a git repository: '/var/mirror'\n")).toBe(true);
    expect(isDamage("remote: fatal: loose object 1a2b is corrupt\nfatal: early EOF\n")).toBe(false);
    expect(isDamage("fatal: bad object ffffffffffffffffffffffffffffffffffffffff\n")).toBe(false);
    expect(isDamage("fatal: '/srv/nope.git' does not appear to be a git repository\n")).toBe(false);
  });
});
