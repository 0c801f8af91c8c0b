/** An HTTP answer that is not a success. Handlers throw it; the server writes it. */
export class Refusal extends Error {
  readonly status: number;
  readonly html: boolean;

  constructor(status: number, message: string, html = false) {
    super(message);
    this.status = status;
    this.html = html;
  }
}

/** A contract violation: not retryable. */
export function badRequest(message: string): Refusal {
  return new Refusal(400, message);
}

/** HyperCore says the same thing for "busy" and for "impossible in this state". */
export function notNow(): Refusal {
  return new Refusal(500, "An internal error occurred");
}

/** The front web server's page: HTML, whatever the client accepts. */
export function notFoundPage(): Refusal {
  return new Refusal(404, "404 Not Found", true);
}

export function badGatewayPage(): Refusal {
  return new Refusal(502, "502 Bad Gateway", true);
}

/** What a failed task says: `%@` in the message stands for the parameters, in order. */
export class TaskFailure extends Error {
  readonly parameters: readonly string[];

  constructor(message: string, parameters: readonly string[] = []) {
    super(message);
    this.parameters = parameters;
  }
}
