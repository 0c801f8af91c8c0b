import type { IncomingHttpHeaders } from "node:http";
import type { SimulatedUser } from "./options.ts";

/** One REST request on its way to a handler. */
export interface Call {
  readonly method: string;
  /** Path without the `/api/v3` prefix. */
  readonly path: string;
  /** Where addresses in the answer begin, with the prefix the client used: `http://127.0.0.1:4000/api/v3`. */
  readonly apiUrl: string;
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** Most entries a list answers at once. */
  readonly maxPerPage: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Readonly<Record<string, unknown>>;
  /** Undefined: no credentials were sent. */
  readonly user: SimulatedUser | undefined;
}

export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON; a string is sent as it is. Left out: no body. */
  readonly body?: unknown;
}

export type Handler = (call: Call) => Reply | Promise<Reply>;

interface Route {
  readonly method: string;
  readonly pattern: string;
  readonly expression: RegExp;
  readonly handler: Handler;
}

/** Routes in the order they were added. `:name` is one path segment, `:name*` may hold slashes (branch names). */
export class Router {
  readonly #routes: Route[] = [];

  add(method: string, pattern: string, handler: Handler): void {
    const source = pattern.replaceAll(
      /:(\w+)(\*?)/g,
      (_all, name: string, greedy: string) => `(?<${name}>${greedy ? ".+" : "[^/]+"})`,
    );
    this.#routes.push({ method, pattern, expression: new RegExp(`^${source}/?$`), handler });
  }

  find(method: string, path: string): { readonly route: Route; readonly params: Record<string, string> } | undefined {
    for (const route of this.#routes) {
      const match = route.method === method ? route.expression.exec(path) : null;
      if (match) return { route, params: decodeAll(match.groups ?? {}) };
    }
    return undefined;
  }
}

function decodeAll(groups: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(groups).map(([name, value]) => [name, decodePart(value)]));
}

function decodePart(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

/** A path parameter the pattern guarantees. */
export function param(call: Call, name: string): string {
  return call.params[name] ?? "";
}
