import { checkBody } from "../body.ts";
import { type ApiRequest, accepted, json, param, type Reply, type Route } from "../route.ts";
import type { SnapshotBody } from "../work.ts";

function create({ state, tasks, body, context }: ApiRequest): Reply {
  const checked = checkBody(body, state.contract.snapshotCreate, state.settings.ignoreReadOnlyInCreate);
  const snapshot = checked as unknown as SnapshotBody;
  const { uuid: vm } = state.getVirDomain(snapshot.domainUUID);
  const uuid = state.random.uuid();
  return accepted(tasks.start({ kind: "snapshot-create", vm, uuid, snapshot }, uuid, [vm], context), uuid);
}

function remove(request: ApiRequest): Reply {
  const { state, tasks, context } = request;
  const { uuid, domainUUID: vm } = state.snapshots.get(param(request)) ?? state.refuseMissing();
  return accepted(tasks.start({ kind: "snapshot-delete", vm, uuid }, uuid, [vm], context));
}

export const snapshotRoutes: readonly Route[] = [
  { method: "GET", path: "VirDomainSnapshot", handle: ({ state }) => json(state.snapshots.listJson()) },
  {
    method: "GET",
    path: "VirDomainSnapshot/*",
    handle: (request) => json(request.state.snapshots.oneJson(param(request))),
  },
  { method: "POST", path: "VirDomainSnapshot", handle: create },
  { method: "DELETE", path: "VirDomainSnapshot/*", handle: remove },
];
