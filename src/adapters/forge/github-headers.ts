const apiVersion = "2022-11-28";

/** What every request to GitHub carries; one without a user agent is refused. */
export function githubHeaders(userAgent = "kraken-gitops"): Readonly<Record<string, string>> {
  return {
    accept: "application/vnd.github+json",
    "x-github-api-version": apiVersion,
    "user-agent": userAgent,
  };
}
