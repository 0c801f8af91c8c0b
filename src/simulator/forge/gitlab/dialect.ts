import type { Dialect } from "../dialect.ts";
import { addDeploymentRoutes } from "./deployments-api.ts";
import { gitlabEvents, gitlabHookHeaders } from "./events.ts";
import { addHookRoutes } from "./hooks-api.ts";
import { addNoteRoutes } from "./notes-api.ts";
import { addProjectRoutes } from "./projects-api.ts";
import { addRequestRoutes } from "./requests-api.ts";
import { answerGitlab } from "./rest.ts";
import { addStatusRoutes } from "./statuses-api.ts";

const parts = [addProjectRoutes, addRequestRoutes, addNoteRoutes, addStatusRoutes, addDeploymentRoutes, addHookRoutes];

/** GitLab's REST v4 and webhooks on the same repositories and records. */
export const gitlabDialect: Dialect = {
  pullRefs: "refs/merge-requests",
  apiPath: "/api/v4",
  addRoutes: (router, context) => {
    for (const add of parts) add(router, context);
  },
  answer: answerGitlab,
  hookHeaders: gitlabHookHeaders,
  events: gitlabEvents,
};
