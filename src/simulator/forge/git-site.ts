import type { IncomingMessage, ServerResponse } from "node:http";
import { isGranted } from "./accounts.ts";
import { ApiError } from "./api-error.ts";
import type { ForgeContext } from "./context.ts";
import { serveService } from "./git-service.ts";
import type { SimulatedUser } from "./options.ts";
import type { RepositoryRecord } from "./records.ts";

/** A request of git's smart HTTP protocol; the dumb protocol has no door here. */
export interface GitRequest {
  readonly owner: string;
  readonly name: string;
  readonly service: "git-upload-pack" | "git-receive-pack";
  /** Whether this is `/info/refs`, a client's first question. */
  readonly advertise: boolean;
  readonly pushing: boolean;
}

export function parseGitRequest(method: string, url: URL): GitRequest | undefined {
  const match = /^\/(.+)\/([^/]+?)(?:\.git)?(\/info\/refs|\/git-upload-pack|\/git-receive-pack)$/.exec(url.pathname);
  const [, owner = "", name = "", door = ""] = match ?? [];
  const advertise = door === "/info/refs";
  const service = advertise ? url.searchParams.get("service") : door.slice(1);
  if (match === null || (service !== "git-upload-pack" && service !== "git-receive-pack")) return undefined;
  if (method !== (advertise ? "GET" : "POST")) return undefined;
  return { owner, name, service, advertise, pushing: service === "git-receive-pack" };
}

/** Serves it; answers who asked. Refusals are plain text, which git shows to its user. */
export async function serveGit(
  context: ForgeContext,
  request: GitRequest,
  incoming: IncomingMessage,
  response: ServerResponse,
  discard: boolean,
): Promise<void> {
  const user = context.accounts.authenticate(incoming.headers.authorization);
  const repository = openRepository(context, request, user);
  const changesRefs = request.pushing && !request.advertise;
  await serveService(
    {
      directory: context.repositories.directory(repository),
      service: request.service,
      advertise: request.advertise,
      login: user?.login,
      finished: async () => {
        if (changesRefs) await context.refresh.run(repository, user?.login ?? "anonymous");
      },
      discard,
    },
    incoming,
    response,
  );
}

function openRepository(context: ForgeContext, request: GitRequest, user: SimulatedUser | undefined): RepositoryRecord {
  const repository = context.repositories.find(request.owner, request.name);
  const visible = repository !== undefined && context.accounts.allows(user, repository, "read");
  // Without credentials everything that is not readable asks for them, so nobody learns what exists.
  if (user === undefined && (!visible || request.pushing)) throw new ApiError(401, "Authentication required");
  if (!visible) throw new ApiError(404, "Repository not found.");
  const needed = request.pushing ? "contents=write" : "contents=read";
  const allowed = context.accounts.allows(user, repository, request.pushing ? "write" : "read");
  if (!allowed || (user !== undefined && !isGranted(user, needed))) {
    throw new ApiError(
      403,
      `Permission to ${request.owner}/${request.name}.git denied to ${user?.login ?? "anonymous"}.`,
    );
  }
  return repository;
}
