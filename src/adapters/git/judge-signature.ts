import type { SignatureVerdict } from "../../sync/signature-verdict.ts";

/** What `git verify-commit --raw` answered for one commit. */
export interface Checked {
  /** It ended with code 0. */
  readonly ok: boolean;
  readonly said: string;
}

/**
 * Reads the answer for an SSH signature (ssh-keygen, PROTOCOL.sshsig): `Good "git" signature for <principal> with <type>
 * key <fingerprint>`. A good signature by a key that is not in the file says so without `for`, and is refused.
 */
export function judgeSsh({ ok, said }: Checked): SignatureVerdict {
  const refused = { kind: "refused", by: "ssh" } as const;
  const lines = said.split("\n").map((line) => line.trimEnd());
  const key = lines.map((line) => / key (SHA256:[A-Za-z0-9+/]+)$/.exec(line)?.[1]).find((one) => one !== undefined);
  const signer = lines
    .map((line) => /^Good "git" signature for (.+) with \S+ key SHA256:[A-Za-z0-9+/]+$/.exec(line)?.[1])
    .find((one) => one !== undefined);
  if (ok && signer !== undefined && key !== undefined) return { kind: "good", by: "ssh", signer, key };
  if (lines.some((line) => line.startsWith('Good "git" signature with ')))
    return { ...refused, reason: "unknown-key", key };
  return { ...refused, reason: "bad", key };
}

/**
 * Reads the status lines of gpg (GnuPG doc/DETAILS, "Format of the --status-fd output"). Exactly one signature counts, and
 * only when its primary key is one of `allowed`: being in the file is the trust, so what gpg thinks of the key's owner
 * does not matter.
 */
export function judgeGpg({ ok, said }: Checked, allowed: ReadonlySet<string>): SignatureVerdict {
  const status = said
    .split("\n")
    .flatMap((line) => (line.startsWith("[GNUPG:] ") ? [line.slice("[GNUPG:] ".length).trimEnd().split(" ")] : []));
  const words = (keyword: string) => status.filter(([first]) => first === keyword).map((line) => line.slice(1));
  const [valid = [], ...moreValid] = words("VALIDSIG");
  const [good = [], ...moreGood] = words("GOODSIG");
  const [fingerprint, primary = fingerprint] = [valid[0], valid[9]];
  const outcomes = ["GOODSIG", "BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG"].flatMap((keyword) =>
    words(keyword).map((line) => ({ keyword, key: fingerprint ?? line[0] })),
  );
  const refused = { kind: "refused", by: "gpg", key: outcomes[0]?.key } as const;
  const [outcome] = outcomes;
  if (outcome === undefined || outcomes.length > 1 || moreValid.length > 0 || moreGood.length > 0)
    return { ...refused, reason: "unreadable" };
  if (outcome.keyword === "REVKEYSIG") return { ...refused, reason: "revoked" };
  if (outcome.keyword.startsWith("EXP")) return { ...refused, reason: "expired" };
  if (outcome.keyword === "ERRSIG")
    return { ...refused, reason: words("NO_PUBKEY").length > 0 ? "unknown-key" : "bad" };
  if (outcome.keyword === "BADSIG") return { ...refused, reason: "bad" };
  if (primary === undefined || !ok) return { ...refused, reason: "bad" };
  if (!allowed.has(primary)) return { ...refused, reason: "unknown-key" };
  return { kind: "good", by: "gpg", signer: userId(good.slice(1).join(" ")), key: primary };
}

/** gpg writes bytes that would break a line as %XX. */
function userId(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // not UTF-8
  }
}
