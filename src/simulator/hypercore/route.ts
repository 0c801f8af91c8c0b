import type { IncomingMessage } from "node:http";
import type { Intake } from "./exchange.ts";
import { badRequest } from "./refusal.ts";
import type { ClusterState } from "./state.ts";
import type { TaskBoard, TaskContext } from "./tasks.ts";

/** A request that has passed authentication, on the node that answers it. */
export interface ApiRequest {
  readonly state: ClusterState;
  readonly tasks: TaskBoard;
  /** What the answering node reports as its version; during an update nodes differ. */
  readonly nodeVersion: string;
  readonly updating: boolean;
  /** Addresses of all nodes, in order. */
  readonly addresses: readonly string[];
  /** Parts of the path that a route leaves open, in order. */
  readonly params: readonly string[];
  readonly query: URLSearchParams;
  /** The parsed body; undefined for streaming routes and for methods without one. */
  readonly body: unknown;
  readonly message: IncomingMessage;
  /** Where routes that read the body themselves note how much of it came. */
  readonly intake: Intake;
  /** A fault wants the connection cut as soon as an upload has begun. */
  readonly cutsUpload: boolean;
  readonly context: TaskContext;
}

export interface Reply {
  readonly status: number;
  readonly type: "application/json" | "text/html" | "text/plain";
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Route {
  readonly method: "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
  /** Below /rest/v1, with `*` for one open part. */
  readonly path: string;
  readonly handle: (request: ApiRequest) => Reply | Promise<Reply>;
  /** The handler reads the body itself. */
  readonly streams?: boolean;
  /** Query members that are not refused. */
  readonly query?: readonly string[];
}

export function json(text: string, status = 200): Reply {
  return { status, type: "application/json", body: text };
}

/** The answer to a change: a tag to poll (may be empty) and the identity of what is being made (may be empty). */
export function accepted(taskTag: string, createdUUID = ""): Reply {
  return json(JSON.stringify({ taskTag, createdUUID }));
}

/** The n-th open part of the path. */
export function param(request: ApiRequest, index = 0): string {
  return request.params[index] ?? "";
}

/** The route for a path, with the open parts; undefined when there is none. */
export function matchRoute(
  routes: readonly Route[],
  method: string,
  path: string,
): { readonly route: Route; readonly params: readonly string[] } | undefined {
  const parts = path.split("/");
  for (const route of routes) {
    if (route.method !== method) continue;
    const pattern = route.path.split("/");
    if (pattern.length !== parts.length) continue;
    if (pattern.every((part, index) => part === "*" || part === parts[index])) {
      return { route, params: parts.filter((_part, index) => pattern[index] === "*") };
    }
  }
  return undefined;
}

/** Lists cannot be filtered on the server: every query member that the route does not know is refused. */
export function checkQuery(route: Route, query: URLSearchParams): void {
  for (const name of query.keys()) {
    if (!route.query?.includes(name)) throw badRequest(`Query parameter "${name}" is not allowed`);
  }
}
