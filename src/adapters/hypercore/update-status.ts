import { WatcherError } from "../../lib/errors.ts";
import type { ClusterAccess } from "./access.ts";
import { type NodeAnswer, updateStatusPath } from "./rest/client.ts";
import { parseJsonText } from "./rest/json.ts";

export type UpdateVerdict = "idle" | "never-updated" | "preparing" | "applying" | "busy";

/**
 * Throws `cluster-updating` unless the cluster is certainly idle. Only two observations prove that: every node says that
 * both phases are complete, or every node never had an update and its API works. Anything else, silence included,
 * looks the same as an update under way. Only a node that has been silent for far longer than an update takes it away,
 * while another one says that all is complete, is broken and left out.
 */
export async function requireNotUpdating(access: ClusterAccess, signal: AbortSignal): Promise<void> {
  const answers = await access.client.askEveryNode(updateStatusPath, false, signal);
  const all = answers.map((answer) => ({ answer, verdict: judge(answer) }));
  const broken = all.some(({ verdict }) => verdict === "idle")
    ? all.filter(({ answer }) => answer.silentMs > access.timeouts.brokenMs)
    : [];
  for (const { answer } of broken)
    access.log("warn", { cluster: access.cluster, node: answer.origin }, "node is silent for long and left out");
  const verdicts = all.filter((item) => !broken.includes(item));
  const trouble = verdicts.find(({ verdict }) => verdict !== "idle" && verdict !== "never-updated");
  if (trouble !== undefined) throw updating(access, explain(trouble.answer, trouble.verdict));
  const unknown = verdicts.filter(({ verdict }) => verdict === "never-updated");
  if (unknown.length === 0) return;
  if (unknown.length < verdicts.length)
    throw updating(access, `${unknown[0]?.answer.origin} knows of no update while other nodes do`);
  await requireWorkingApi(access, signal);
}

async function requireWorkingApi(access: ClusterAccess, signal: AbortSignal): Promise<void> {
  const answers = await access.client.askEveryNode("/rest/v1/Cluster", true, signal);
  const denied = answers.find(({ reply }) => reply?.status === 401);
  // A refusal of our credentials is for the ordinary call to explain.
  if (denied !== undefined) return;
  const broken = answers.find(({ reply }) => reply?.status !== 200 || !Array.isArray(parseJsonText(reply.body)));
  if (broken !== undefined) throw updating(access, explain(broken, "busy"));
}

export function judge({ reply }: NodeAnswer): UpdateVerdict {
  if (reply === undefined) return "busy";
  if (reply.status === 404) return "never-updated";
  const body = reply.status === 200 ? parseJsonText(reply.body) : undefined;
  if (typeof body !== "object" || body === null) return "busy";
  const prepared = member(member(body, "prepareStatus"), "state");
  const applied = member(member(body, "updateStatus"), "masterState");
  if (prepared === "COMPLETE" && applied === "COMPLETE") return "idle";
  return prepared !== "COMPLETE" && applied === undefined ? "preparing" : "applying";
}

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function explain({ origin, reply, failure }: NodeAnswer, verdict: UpdateVerdict): string {
  if (verdict === "preparing") return `${origin} is preparing an update`;
  if (verdict === "applying") return `${origin} reports an update being applied`;
  const said = failure ?? `${origin} answered with status ${reply?.status}`;
  return `${said}; a node that does not answer may be in the middle of an update (if it is gone for good, take it out of the endpoints)`;
}

function updating(access: ClusterAccess, why: string): WatcherError {
  return new WatcherError("cluster-updating", `cluster ${access.cluster} may be updating: ${why}`);
}
