import type { SignaturePolicy, SignatureVerdict } from "../../sync/signature-verdict.ts";
import type { CatFile } from "./cat-file.ts";
import { carriedSignature } from "./commit-signature.ts";
import { judgeGpg, judgeSsh } from "./judge-signature.ts";
import type { MirrorCommands } from "./mirror-commands.ts";
import { assertId } from "./mirror-reader.ts";
import { prepareSignerKeys, type SignerKeys, unavailable } from "./signer-keys.ts";

export interface VerifyParts {
  readonly commands: MirrorCommands;
  readonly catFile: CatFile;
  /** Private folder for the keys in the form that programs take. */
  readonly signersDir: string;
}

/** Judges commits that are in the mirror. The key files are read anew each time, so that a rotated key counts at once. */
export async function verifySignatures(
  parts: VerifyParts,
  revisions: readonly string[],
  policy: SignaturePolicy,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, SignatureVerdict>> {
  revisions.forEach(assertId);
  const keys = await prepareSignerKeys(policy, parts.signersDir, parts.commands.env);
  const verdicts = new Map<string, SignatureVerdict>();
  for (const revision of revisions) verdicts.set(revision, await verifyOne(parts, revision, { policy, keys }, signal));
  return verdicts;
}

async function verifyOne(
  { commands, catFile }: VerifyParts,
  revision: string,
  { policy, keys }: { readonly policy: SignaturePolicy; readonly keys: SignerKeys },
  signal: AbortSignal,
): Promise<SignatureVerdict> {
  const [object] = await catFile.contents([revision], signal);
  if (object?.type !== "commit") throw unavailable(`${revision.slice(0, 10)} is no commit of the mirror`);
  const carried = carriedSignature(object.bytes);
  if (carried === "none" || carried === "unreadable")
    return {
      kind: "refused",
      reason: carried === "none" ? "unsigned" : "unreadable",
      by: undefined,
      key: undefined,
    };
  const allowed = carried === "ssh" ? policy.allowedSigners : policy.gpgKeys;
  if (allowed === undefined) return { kind: "refused", reason: "not-allowed-kind", by: carried, key: undefined };
  const checked = await commands.verifyCommit(revision, keys, signal);
  // A program that cannot be run says nothing about the commit.
  if (/^(?:fatal|error): cannot (?:run|exec|create|fork)/m.test(checked.said))
    throw unavailable(
      `${carried === "ssh" ? "ssh-keygen" : "gpg"} cannot be run (${checked.said.trim().slice(0, 200)})`,
    );
  return carried === "ssh" ? judgeSsh(checked) : judgeGpg(checked, keys.gpgFingerprints);
}
