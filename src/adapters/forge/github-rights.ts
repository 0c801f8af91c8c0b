import type { GithubApp } from "./github-app.ts";
import type { Answer, ForgeHttp } from "./forge-http.ts";
import type { RepositoryPlace } from "./repository-place.ts";

/** A permission by GitHub's name for it, as its settings page shows it, and what fails without it. */
interface Right {
  readonly name: string;
  readonly level: "read" | "write";
  readonly shown: string;
  readonly without: string;
}

const contents: Right = {
  name: "contents",
  level: "read",
  shown: "Contents: read",
  without: "the repository cannot be fetched with it",
};
const statuses: Right = {
  name: "statuses",
  level: "write",
  shown: "Commit statuses: write",
  without: "commit statuses will be refused",
};
const pullRequests: Right = {
  name: "pull_requests",
  level: "write",
  shown: "Pull requests: write",
  without: "plans cannot be written as comments",
};
const deployments: Right = {
  name: "deployments",
  level: "write",
  shown: "Deployments: write",
  without: "deployments will be refused",
};

function neededRights(withDeployments: boolean): readonly Right[] {
  return [contents, statuses, pullRequests, ...(withDeployments ? [deployments] : [])];
}

/** What the App's installation was not granted. */
export async function missingAppRights(app: Pick<GithubApp, "permissions">, withDeployments: boolean) {
  const granted = await app.permissions();
  const missing = neededRights(withDeployments).filter(({ name, level }) => {
    const has = granted[name];
    return has === undefined || (level === "write" && has === "read");
  });
  return missing.map(({ shown, without }) => `the App lacks the permission "${shown}": ${without}`);
}

/**
 * What a token may not do that does not tell its scopes. A right to write is tried with a request that cannot succeed: a
 * status on a commit that is not there, a pull request and a deployment of nothing. GitHub looks at the right first (403)
 * and then refuses the content (422), so nothing is ever written.
 */
export async function missingTokenRights(
  http: ForgeHttp,
  place: RepositoryPlace,
  withDeployments: boolean,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const accept = [403, 404, 409, 422];
  const tries: Readonly<Record<string, () => Promise<Answer>>> = {
    contents: () => http.get(place.url("/branches?per_page=1"), signal, accept),
    statuses: () => place.write("POST", `/statuses/${"0".repeat(40)}`, { state: "pending" }, signal, accept),
    pull_requests: () => place.write("POST", "/pulls", { head: "", base: "" }, signal, accept),
    deployments: () => place.write("POST", "/deployments", { ref: "" }, signal, accept),
  };
  const missing: string[] = [];
  for (const { name, shown, without } of neededRights(withDeployments)) {
    const answer = await tries[name]?.();
    if (answer !== undefined && isMissing(answer))
      missing.push(`the token lacks the permission "${shown}": ${without}`);
  }
  return missing;
}

/** Other 403s have other reasons, such as a policy of the organisation. */
function isMissing({ status, body }: Answer): boolean {
  const said = typeof body === "object" && body !== null && "message" in body ? String(body.message) : "";
  return status === 403 && /resource not accessible/i.test(said);
}
