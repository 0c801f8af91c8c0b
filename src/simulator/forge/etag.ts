import { createHash } from "node:crypto";

/** A weak tag over the answer and who asked: another token sees another tag, as on GitHub. */
export function etagOf(body: string, link: string | undefined, login: string | undefined): string {
  const hash = createHash("sha256")
    .update(`${login ?? ""}\n${link ?? ""}\n${body}`)
    .digest("hex");
  return `W/"${hash}"`;
}

/** Whether `If-None-Match` names this tag; weak comparison (RFC 9110, section 8.8.3.2). */
export function matchesEtag(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  if (ifNoneMatch.trim() === "*") return true;
  const wanted = etag.replace(/^W\//, "");
  return ifNoneMatch.split(",").some((candidate) => candidate.trim().replace(/^W\//, "") === wanted);
}
