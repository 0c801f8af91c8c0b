import type { SignatureVerdict } from "../sync/signature-verdict.ts";
import { code } from "./escape.ts";
import { shortRevision, visible } from "./format.ts";

type Refused = Extract<SignatureVerdict, { kind: "refused" }>;

const names = { ssh: "SSH", gpg: "GPG" } as const;

/** Why a signature does not count: `unsigned`, `SSH key SHA256:... is not allowed`. */
export function describeSignature({ reason, by, key }: Refused): string {
  const kind = by === undefined ? "" : `${names[by]} `;
  const named = key === undefined ? `${kind}key` : `${kind}key ${visible(key)}`;
  const texts: Readonly<Record<Refused["reason"], string>> = {
    unsigned: "unsigned",
    "unknown-key": `${named} is not allowed`,
    bad: `bad ${kind}signature`,
    expired: `${named} or signature expired`,
    revoked: `${named} is revoked`,
    unreadable: "its signature cannot be read",
    "not-allowed-kind": `no ${kind}keys are allowed`,
  };
  return texts[reason];
}

/** The final status of a tip that is not synced: `Refused: not signed by an allowed signer (unsigned)`. */
export function describeRefused(verdict: Refused): string {
  return `Refused: not signed by an allowed signer (${describeSignature(verdict)}); nothing is changed`;
}

/** Of commits that came with a tip that is refused: `Superseded by 1a2b3c4, refused`. */
export function describeRefusedBelow(tip: string): string {
  return `Superseded by ${shortRevision(tip)}, refused`;
}

/** For reviewers, in Markdown: what the merge of this head must be. */
export function describeUnsignedHead(verdict: Refused): string {
  return `**Only signed commits are synced**, and this head is not acceptable (${describeSignature(verdict)}): the merge itself must be signed by an allowed signer.`;
}

/** For reviewers, in Markdown: what is merged with, is not carried out yet. */
export function describeRefusedBase(verdict: Refused, base: string, branch: string): string {
  return `**The tip of ${code(branch)} was refused** (${code(shortRevision(base))}: ${describeSignature(verdict)}). A signed merge carries out what it changed as well: the plan shows both.`;
}
