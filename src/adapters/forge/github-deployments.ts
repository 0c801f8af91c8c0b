import type { ForgeDeployment } from "../../ports/forge.ts";
import { contentHash } from "../../lib/canonical-json.ts";
import type { ForgeHttp } from "./forge-http.ts";
import { toWritable } from "./github-statuses.ts";
import { Lanes } from "./lanes.ts";
import type { RepositoryPlace } from "./repository-place.ts";
import { parseDeployment, parseDeploymentStatus, parseList, type WireDeploymentStatus } from "./wire.ts";

/** Tells our deployments from those of others to the same environment. */
const task = "deploy:kraken-gitops";

export type EnsureDeployment = (deployment: ForgeDeployment, signal: AbortSignal) => Promise<void>;

/** One deployment per commit and environment, with a status for every change. Reads before writing, as statuses do. */
export function createEnsureDeployment(http: ForgeHttp, place: RepositoryPlace): EnsureDeployment {
  const lanes = new Lanes();

  async function ensure(deployment: ForgeDeployment, signal: AbortSignal): Promise<void> {
    const { state, description, targetUrl } = toWritable(deployment);
    const id = (await find(deployment, signal)) ?? (await create(deployment, signal));
    const newest = await findStatus(id, signal);
    const wanted = { state, description, logUrl: targetUrl ?? "" };
    if (newest !== undefined && isSame(newest, wanted)) return;
    const body = { state, description, ...(targetUrl === undefined ? {} : { log_url: targetUrl }) };
    await place.write("POST", `/deployments/${id}/statuses`, body, signal);
  }

  /** Newest first. */
  async function find({ revision, environment }: ForgeDeployment, signal: AbortSignal): Promise<number | undefined> {
    const query = new URLSearchParams({ sha: revision, environment, task, per_page: "100" });
    const answer = await http.get(place.url(`/deployments?${query.toString()}`), signal);
    return parseList(answer.body, parseDeployment)[0]?.id;
  }

  /** Left out, `auto_merge` would merge the default branch and `required_contexts` would wait for our own status. */
  async function create({ revision, environment }: ForgeDeployment, signal: AbortSignal): Promise<number> {
    const body = { ref: revision, environment, task, auto_merge: false, required_contexts: [] };
    return parseDeployment((await place.write("POST", "/deployments", body, signal)).body).id;
  }

  /**
   * The newest status that we wrote: a later success elsewhere makes this one inactive, and to repeat what was said before
   * that must not bring it back.
   */
  async function findStatus(id: number, signal: AbortSignal): Promise<WireDeploymentStatus | undefined> {
    let newest: WireDeploymentStatus | undefined;
    for await (const page of http.pages(place.url(`/deployments/${id}/statuses?per_page=100`), signal)) {
      for (const status of parseList(page.body, parseDeploymentStatus))
        if (status.state !== "inactive" && status.id > (newest?.id ?? 0)) newest = status;
    }
    return newest;
  }

  return (deployment, signal) =>
    lanes.run(contentHash([deployment.revision, deployment.environment], 16), () => ensure(deployment, signal));
}

function isSame(a: Omit<WireDeploymentStatus, "id">, b: Omit<WireDeploymentStatus, "id">): boolean {
  return a.state === b.state && a.description === b.description && a.logUrl === b.logUrl;
}
