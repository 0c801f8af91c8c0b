import type { SignaturePolicy } from "../sync/signature-verdict.ts";
import type { ConfigPath } from "./config-problem.ts";
import type { RawRepository } from "./raw.ts";
import type { ResolveContext } from "./resolve-context.ts";

export function resolveSignatures(
  raw: RawRepository["signatures"],
  at: ConfigPath,
  context: ResolveContext,
): { readonly signatures?: SignaturePolicy } {
  if (raw === undefined || raw.require === false) return {};
  const signatures = { allowedSigners: context.file(raw.allowedSigners), gpgKeys: context.file(raw.gpgKeys) };
  if (signatures.allowedSigners === undefined && signatures.gpgKeys === undefined)
    context.problem(at, "needs allowedSigners or gpgKeys (or both): without keys no commit could ever be synced");
  return { signatures };
}
