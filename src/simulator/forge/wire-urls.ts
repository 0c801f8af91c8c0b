/** The addresses with which GitHub's users, repositories and pull requests point at everything around them. */

type Json = Record<string, unknown>;

/** Below a repository; in braces what a client fills in (RFC 6570). */
const repositoryPaths: Readonly<Record<string, string>> = {
  archive_url: "/{archive_format}{/ref}",
  assignees_url: "/assignees{/user}",
  blobs_url: "/git/blobs{/sha}",
  branches_url: "/branches{/branch}",
  collaborators_url: "/collaborators{/collaborator}",
  comments_url: "/comments{/number}",
  commits_url: "/commits{/sha}",
  compare_url: "/compare/{base}...{head}",
  contents_url: "/contents/{+path}",
  contributors_url: "/contributors",
  deployments_url: "/deployments",
  downloads_url: "/downloads",
  events_url: "/events",
  forks_url: "/forks",
  git_commits_url: "/git/commits{/sha}",
  git_refs_url: "/git/refs{/sha}",
  git_tags_url: "/git/tags{/sha}",
  hooks_url: "/hooks",
  issue_comment_url: "/issues/comments{/number}",
  issue_events_url: "/issues/events{/number}",
  issues_url: "/issues{/number}",
  keys_url: "/keys{/key_id}",
  labels_url: "/labels{/name}",
  languages_url: "/languages",
  merges_url: "/merges",
  milestones_url: "/milestones{/number}",
  notifications_url: "/notifications{?since,all,participating}",
  pulls_url: "/pulls{/number}",
  releases_url: "/releases{/id}",
  stargazers_url: "/stargazers",
  statuses_url: "/statuses/{sha}",
  subscribers_url: "/subscribers",
  subscription_url: "/subscription",
  tags_url: "/tags",
  teams_url: "/teams",
  trees_url: "/git/trees{/sha}",
};

const userPaths: Readonly<Record<string, string>> = {
  events_url: "/events{/privacy}",
  followers_url: "/followers",
  following_url: "/following{/other_user}",
  gists_url: "/gists{/gist_id}",
  organizations_url: "/orgs",
  received_events_url: "/received_events",
  repos_url: "/repos",
  starred_url: "/starred{/owner}{/repo}",
  subscriptions_url: "/subscriptions",
};

export function repositoryUrls(base: string): Json {
  return below(base, repositoryPaths);
}

export function userUrls(base: string): Json {
  return below(base, userPaths);
}

/** @param base Of the repository; @param page Of the pull request, for people. */
export function pullUrls(base: string, page: string, number: number, head: string): Json {
  const [pull, issue] = [`${base}/pulls/${number}`, `${base}/issues/${number}`];
  const urls = {
    url: pull,
    html_url: page,
    diff_url: `${page}.diff`,
    patch_url: `${page}.patch`,
    issue_url: issue,
    commits_url: `${pull}/commits`,
    review_comments_url: `${pull}/comments`,
    review_comment_url: `${base}/pulls/comments{/number}`,
    comments_url: `${issue}/comments`,
    statuses_url: `${base}/statuses/${head}`,
  };
  const links = {
    self: { href: urls.url },
    html: { href: urls.html_url },
    issue: { href: urls.issue_url },
    comments: { href: urls.comments_url },
    review_comments: { href: urls.review_comments_url },
    review_comment: { href: urls.review_comment_url },
    commits: { href: urls.commits_url },
    statuses: { href: urls.statuses_url },
  };
  return { ...urls, _links: links };
}

function below(base: string, paths: Readonly<Record<string, string>>): Json {
  return Object.fromEntries(Object.entries(paths).map(([name, path]) => [name, `${base}${path}`]));
}
