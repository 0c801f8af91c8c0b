import { addAppRoutes } from "./apps.ts";
import { addCommentRoutes } from "./comments.ts";
import { addCommitRoutes } from "./commits.ts";
import { addDeploymentRoutes } from "./deployments.ts";
import type { Dialect } from "./dialect.ts";
import { addHookRoutes } from "./hooks-api.ts";
import { addPullRoutes } from "./pulls-api.ts";
import { addRepositoryRoutes } from "./repositories-api.ts";
import { answerRest } from "./rest.ts";
import { addStatusRoutes } from "./statuses.ts";
import { githubHookHeaders } from "./webhooks.ts";

const parts = [
  addRepositoryRoutes,
  addPullRoutes,
  addCommentRoutes,
  addStatusRoutes,
  addCommitRoutes,
  addDeploymentRoutes,
  addAppRoutes,
  addHookRoutes,
];

export const githubDialect: Dialect = {
  pullRefs: "refs/pull",
  apiPath: "/api/v3",
  addRoutes: (router, context) => {
    for (const add of parts) add(router, context);
  },
  answer: answerRest,
  hookHeaders: githubHookHeaders,
};
