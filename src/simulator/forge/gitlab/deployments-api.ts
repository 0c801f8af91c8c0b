import type { ForgeContext } from "../context.ts";
import { pathNumber } from "../fields.ts";
import { findCommit } from "../git-objects.ts";
import { type Call, param, type Reply, type Router } from "../router.ts";
import { projectOf, ROLES, signedIn } from "./access.ts";
import { badParameter, GitlabError, missing } from "./error.ts";
import { optionalChoice, optionalFlag, optionalText, requiredText } from "./fields.ts";
import { pagedReply } from "./paging.ts";
import type { DeploymentStatus } from "./records.ts";
import { renderDeployment } from "./render.ts";

const STATUSES = ["running", "success", "failed", "canceled"] as const;
const EVENTS = { running: "run", success: "succeed", failed: "drop", canceled: "cancel" } as const;

export function addDeploymentRoutes(router: Router, context: ForgeContext): void {
  const base = "/projects/:id/deployments";
  router.add("GET", base, (call) => listDeployments(context, call));
  router.add("POST", base, (call) => createDeployment(context, call));
  router.add("PUT", `${base}/:deployment`, (call) => putDeployment(context, call));
}

function listDeployments(context: ForgeContext, call: Call): Promise<Reply> {
  const project = projectOf(context, call, ROLES.reporter);
  const environment = optionalText(call, "environment");
  optionalChoice(call, "order_by", ["id", "iid", "created_at", "updated_at", "ref"]);
  const sort = optionalChoice(call, "sort", ["asc", "desc"]) ?? "asc";
  const rows = context.store.gitlabDeployments
    .group(`${project.id}`)
    .filter((one) => environment === undefined || one.environment === environment);
  return pagedReply(call, sort === "asc" ? rows : rows.toReversed(), (one) => renderDeployment(context, one));
}

async function createDeployment(context: ForgeContext, call: Call): Promise<Reply> {
  const project = projectOf(context, call, ROLES.developer);
  const { login } = signedIn(call);
  const environment = requiredText(call, "environment");
  const [sha, ref] = [requiredText(call, "sha"), requiredText(call, "ref")];
  const tag = optionalFlag(call, "tag");
  if (tag === undefined) throw badParameter("tag is missing");
  const status = optionalChoice(call, "status", STATUSES);
  if (status === undefined) throw badParameter("status is missing");
  if ((await findCommit(context.repositories.directory(project), sha)) === undefined)
    throw new GitlabError(400, { message: { sha: ["The commit does not exist"] } });
  const now = Date.now();
  const row = { repository: project.id, environment, sha, ref, tag, status, history: [status], creator: login };
  const made = context.store.gitlabDeployments.insert({ ...row, createdAt: now, updatedAt: now });
  return { status: 201, body: renderDeployment(context, made) };
}

function putDeployment(context: ForgeContext, call: Call): Reply {
  const project = projectOf(context, call, ROLES.developer);
  const found = context.store.gitlabDeployments.get(pathNumber(param(call, "deployment")));
  if (found === undefined || found.repository !== project.id) throw missing();
  requiredText(call, "status");
  const status = optionalChoice(call, "status", STATUSES) ?? "running";
  if (!mayMove(found.status, status)) {
    const event = EVENTS[status];
    const why = `Cannot transition status via :${event} from :${found.status}`;
    throw new GitlabError(400, `${why} (Reason(s): Status cannot transition via "${event}")`);
  }
  const moved = context.store.gitlabDeployments.replace({
    ...found,
    status,
    history: [...found.history, status],
    updatedAt: Date.now(),
  });
  return { status: 200, body: renderDeployment(context, moved) };
}

function mayMove(from: DeploymentStatus, to: (typeof STATUSES)[number]): boolean {
  return from === "running" ? to !== "running" : from === "created" || from === "blocked";
}
