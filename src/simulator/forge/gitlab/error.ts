import { ApiError } from "../api-error.ts";

/** A refusal in GitLab's words: mostly `{"message": "404 Project Not Found"}`, `{"error": ...}` for wrong parameters. */
export class GitlabError extends ApiError {
  readonly #content: Record<string, unknown>;

  constructor(
    status: number,
    content: string | Record<string, unknown>,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(status, typeof content === "string" ? content : JSON.stringify(content), { headers });
    this.#content = typeof content === "string" ? { message: content } : content;
  }

  override body(): Record<string, unknown> {
    return this.#content;
  }
}

/** @param what Such as `Project`; GitLab writes "404 Project Not Found", and "404 Not found" for the rest. */
export function missing(what?: string): GitlabError {
  return new GitlabError(404, what === undefined ? "404 Not found" : `404 ${what} Not Found`);
}

export function forbidden(): GitlabError {
  return new GitlabError(403, "403 Forbidden");
}

export function unauthorized(): GitlabError {
  return new GitlabError(401, "401 Unauthorized");
}

/** A parameter that is missing or of a wrong form. */
export function badParameter(said: string): GitlabError {
  return new GitlabError(400, { error: said });
}
