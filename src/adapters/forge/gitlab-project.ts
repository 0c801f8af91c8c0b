import { WatcherError } from "../../lib/errors.ts";
import type { Answer, ForgeHttp, WriteMethod } from "./forge-http.ts";
import { parseProject } from "./gitlab-wire.ts";

/** The project's address in the API, which changes when somebody renames or moves it. */
export interface ProjectPlace {
  /** Address of `/projects/ID` plus `suffix`. */
  url(suffix: string): string;
  /** A write below the project; when the project moved, it is looked up anew and the write sent there. */
  write(
    method: WriteMethod,
    suffix: string,
    body: object | undefined,
    signal: AbortSignal,
    accept?: readonly number[],
  ): Promise<Answer>;
  /** Where people read something of the project; undefined when the API is not where GitLab has it. */
  page(suffix: string): string | undefined;
}

/** GitLab's answer to a write under a former name (reads are redirected). */
const moved = 405;

/** @param path Full path with all groups, such as `acme/infra/fleet`. */
export function createProjectPlace(http: ForgeHttp, apiUrl: string, path: string): ProjectPlace {
  let id = encodeURIComponent(path);
  const url = (suffix: string): string => `${apiUrl}/projects/${id}${suffix}`;

  return {
    url,
    async write(method, suffix, body, signal, accept = []) {
      const first = await http.send(method, url(suffix), body, signal, [...accept, moved]);
      if (first.status !== moved || accept.includes(moved)) return first;
      const found = String(parseProject((await http.get(url(""), signal)).body).id);
      if (found === id) throw refusedTwice(path);
      id = found;
      return http.send(method, url(suffix), body, signal, accept);
    },
    page: (suffix) => {
      if (!apiUrl.endsWith("/api/v4")) return undefined;
      const site = apiUrl.slice(0, -"/api/v4".length);
      return `${site}/${path.split("/").map(encodeURIComponent).join("/")}${suffix}`;
    },
  };
}

function refusedTwice(path: string): WatcherError {
  return new WatcherError(
    "forge-refused",
    `GitLab takes no writes for ${path} (405): was the project moved? Write its present path`,
  );
}
