import type { Dialect } from "../dialect.ts";
import { addCommentRoutes } from "./comments-api.ts";
import { giteaEvents, hookHeaders } from "./events.ts";
import type { Flavour } from "./flavour.ts";
import { addHookRoutes } from "./hooks-api.ts";
import { addPullRoutes } from "./pulls-api.ts";
import { addRepositoryRoutes } from "./repositories-api.ts";
import { answerGitea } from "./rest.ts";
import { addStatusRoutes } from "./statuses-api.ts";

/** API v1 and webhooks of Gitea and Forgejo on the same repositories and records. */
export function giteaDialect(flavour: Flavour): Dialect {
  return {
    pullRefs: "refs/pull",
    apiPath: "/api/v1",
    addRoutes: (router, context) => {
      addRepositoryRoutes(router, context, flavour);
      addPullRoutes(router, context);
      addCommentRoutes(router, context);
      addStatusRoutes(router, context, flavour);
      addHookRoutes(router, context, flavour);
    },
    answer: answerGitea,
    hookHeaders: (hook, event, guid, body) => hookHeaders(flavour, hook, event, guid, body),
    events: giteaEvents,
  };
}
