import type { SignatureKind } from "../../sync/signature-verdict.ts";

/** The signature a commit object carries: none, of a kind we check, or something else (X.509, two of them, garbage). */
export type CarriedSignature = SignatureKind | "none" | "unreadable";

/**
 * Looks at the headers of a raw commit. git hands over everything in `gpgsig` headers together and goes by how it begins,
 * so a commit with two of them could show one signature and be judged by another: it is not judged at all.
 */
export function carriedSignature(bytes: Uint8Array): CarriedSignature {
  const raw = Buffer.from(bytes);
  const end = raw.indexOf("\n\n");
  const head = (end < 0 ? raw : raw.subarray(0, end)).toString("latin1");
  const found = [...head.matchAll(/^gpgsig(?:-sha256)? (.*)$/gm)].map((match) => match[1] ?? "");
  if (found.length === 0) return "none";
  if (found.length > 1) return "unreadable";
  const [begin = ""] = found;
  if (/^-----BEGIN PGP (SIGNATURE|MESSAGE)-----$/.test(begin)) return "gpg";
  return begin === "-----BEGIN SSH SIGNATURE-----" ? "ssh" : "unreadable";
}
