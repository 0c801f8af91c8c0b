/** An answer that is not a success, in GitHub's words. Thrown anywhere below a route, sent by the server. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly errors: readonly FieldError[] | undefined;

  constructor(
    status: number,
    message: string,
    options: { readonly headers?: Readonly<Record<string, string>>; readonly errors?: readonly FieldError[] } = {},
  ) {
    super(message);
    this.status = status;
    this.headers = options.headers ?? {};
    this.errors = options.errors;
  }

  /** The JSON body GitHub sends with it. */
  body(): Record<string, unknown> {
    return {
      message: this.message,
      ...(this.errors ? { errors: this.errors } : {}),
      documentation_url: "https://docs.github.com/rest",
      status: `${this.status}`,
    };
  }
}

/** One entry of a 422 answer. `code` is `missing_field`, `invalid`, `already_exists` or, with a message, `custom`. */
export interface FieldError {
  readonly resource: string;
  readonly field?: string;
  readonly code: string;
  readonly message?: string;
}

export function notFound(): ApiError {
  return new ApiError(404, "Not Found");
}

export function invalid(...errors: readonly FieldError[]): ApiError {
  return new ApiError(422, "Validation Failed", { errors });
}

export function custom(resource: string, field: string, message: string): ApiError {
  return invalid({ resource, field, code: "custom", message });
}

/** The token is good but may not do this. `needed` names the fine-grained permission, e.g. `statuses=write`. */
export function notPermitted(needed: string): ApiError {
  return new ApiError(403, "Resource not accessible by personal access token", {
    headers: { "x-accepted-github-permissions": needed },
  });
}
