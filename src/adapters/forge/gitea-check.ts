import { WatcherError } from "../../lib/errors.ts";
import type { ForgeHttp } from "./forge-http.ts";
import {
  type GiteaRepository,
  parseGiteaComment,
  parseGiteaPull,
  parseGiteaRepository,
  parseGiteaUser,
  parseGiteaVersion,
} from "./gitea-wire.ts";
import type { RepositoryPlace } from "./repository-place.ts";
import { parseList } from "./wire.ts";

export type GiteaFlavour = "gitea" | "forgejo";

/** The first with scoped tokens for every route we use. */
const oldest = [1, 20] as const;

/** What `doctor` should know: who we are, and everything that will fail later. */
export async function checkGitea(
  http: ForgeHttp,
  apiUrl: string,
  place: RepositoryPlace,
  flavour: GiteaFlavour,
  signal: AbortSignal,
): Promise<{ readonly login: string | undefined; readonly findings: readonly string[] }> {
  const version = parseGiteaVersion((await http.get(`${apiUrl}/version`, signal)).body);
  const { login } = parseGiteaUser((await http.get(`${apiUrl}/user`, signal)).body);
  const repository = parseGiteaRepository((await http.get(place.url(""), signal)).body);
  // Each asks for a scope of its own; the refusal names it.
  parseList((await http.get(place.url("/pulls?state=open&limit=1"), signal)).body ?? [], parseGiteaPull);
  parseList((await http.get(place.url("/issues/comments?limit=1"), signal)).body ?? [], parseGiteaComment);
  const findings = [...versionFindings(version, flavour), ...rightFindings(repository)];
  if (repository.archived || repository.mayPush === false) return { login, findings };
  return { login, findings: [...findings, ...(await writeFindings(place, signal))] };
}

/** A status and a comment on what does not exist: refused for the missing scope, or because there is nothing to write on. */
async function writeFindings(place: RepositoryPlace, signal: AbortSignal): Promise<readonly string[]> {
  const probes = [
    { what: "commit statuses", suffix: `/statuses/${"f".repeat(40)}`, body: { state: "pending", context: "probe" } },
    { what: "comments", suffix: "/issues/0/comments", body: { body: "probe" } },
  ];
  const findings: string[] = [];
  for (const { what, suffix, body } of probes) {
    try {
      await place.write("POST", suffix, body, signal, [404, 422, 500]);
    } catch (error) {
      if (!(error instanceof WatcherError) || error.code !== "forge-refused") throw error;
      findings.push(`${what} cannot be written: ${error.message}`);
    }
  }
  return findings;
}

function versionFindings(
  { flavour, version, level }: ReturnType<typeof parseGiteaVersion>,
  configured: GiteaFlavour,
): readonly string[] {
  const old = level !== undefined && (level[0] < oldest[0] || (level[0] === oldest[0] && level[1] < oldest[1]));
  return [
    ...(flavour === configured ? [] : [`this is ${flavour} ${version}; the configuration says type: ${configured}`]),
    ...(old
      ? [`version ${version} is older than Gitea ${oldest.join(".")}, which is the oldest that is known to do`]
      : []),
  ];
}

function rightFindings({
  fullName,
  archived,
  pullRequests,
  mayPush,
  mayAdminister,
}: GiteaRepository): readonly string[] {
  return [
    ...(archived ? [`${fullName} is archived: nothing can be written`] : []),
    ...(pullRequests ? [] : [`pull requests are switched off in ${fullName}: there is nothing to plan`]),
    ...(mayPush === false ? [`no write permission on ${fullName}: commit statuses will be refused`] : []),
    ...(mayAdminister === false && mayPush !== false
      ? [`not an administrator of ${fullName}: it cannot be told who may give commands in comments, so nobody may`]
      : []),
  ];
}
