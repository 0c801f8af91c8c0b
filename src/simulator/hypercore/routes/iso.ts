import { checkBody } from "../body.ts";
import { badRequest, notNow } from "../refusal.ts";
import { type ApiRequest, accepted, json, param, type Reply, type Route } from "../route.ts";
import type { ClusterState } from "../state.ts";
import { announcedLength, receive } from "../upload.ts";
import type { Iso } from "../wire.ts";

function create({ state, tasks, body, context }: ApiRequest): Reply {
  const checked = checkBody(body, state.contract.isoCreate, state.settings.ignoreReadOnlyInCreate);
  const { name, size, readyForInsert } = checked as { name: string; size?: number; readyForInsert: boolean };
  requireIsoName(name);
  const uuid = state.random.uuid();
  const iso: Iso = { uuid, name, size: size ?? 0, readyForInsert, path: readyForInsert ? `scribe/${uuid}` : "" };
  return accepted(tasks.start({ kind: "iso-create", uuid, iso }, uuid, [uuid], context), uuid);
}

function requireIsoName(name: string): void {
  if (!name.endsWith(".iso")) throw badRequest('"name" must end in .iso');
}

/** The content of an ISO. The answer is not JSON and there is no task. */
async function putData(request: ApiRequest): Promise<Reply> {
  const { state, tasks, message } = request;
  const iso = state.isos.get(param(request)) ?? state.refuseMissing();
  tasks.ensureFree(iso.uuid);
  const length = announcedLength(message);
  if (length !== iso.size) throw badRequest('Content-Length differs from "size"');
  const { bytes, sha256 } = await receive(message, request.intake);
  state.contents.put(iso.uuid, { bytes, sha256, virtualBytes: bytes, finalName: iso.name });
  return { status: 200, type: "text/plain", body: "" };
}

function change(request: ApiRequest): Reply {
  const { state, tasks, body, context } = request;
  const iso = state.isos.get(param(request)) ?? state.refuseMissing();
  const changes = checkBody(body, state.contract.isoPatch) as Partial<Pick<Iso, "name" | "readyForInsert">>;
  if (changes.name !== undefined) requireIsoName(changes.name);
  if (changes.readyForInsert === true && state.contents.get(iso.uuid) === undefined) throw notNow();
  return accepted(tasks.start({ kind: "iso-patch", uuid: iso.uuid, changes }, iso.uuid, [iso.uuid], context));
}

function remove(request: ApiRequest): Reply {
  const { state, tasks, context } = request;
  const iso = state.isos.get(param(request)) ?? state.refuseMissing();
  if (mountsByPath(state).has(iso.path)) throw notNow();
  return accepted(tasks.start({ kind: "iso-delete", uuid: iso.uuid }, iso.uuid, [iso.uuid], context));
}

type Mount = { readonly vmUUID: string; readonly vmName: string };

function mountsByPath(state: ClusterState): ReadonlyMap<string, readonly Mount[]> {
  const mounts = new Map<string, Mount[]>();
  for (const vm of state.virdomains.values()) {
    for (const disk of vm.blockDevs) {
      if (disk.type !== "IDE_CDROM" || disk.path === "") continue;
      mounts.set(disk.path, [...(mounts.get(disk.path) ?? []), { vmUUID: vm.uuid, vmName: vm.name }]);
    }
  }
  return mounts;
}

function list(state: ClusterState, isos: readonly Iso[]): Reply {
  const mounts = mountsByPath(state);
  return json(JSON.stringify(isos.map((iso) => ({ ...iso, mounts: mounts.get(iso.path) ?? [] }))));
}

function readOne(request: ApiRequest): Reply {
  const iso = request.state.isos.get(param(request));
  return list(request.state, iso === undefined ? [] : [iso]);
}

export const isoRoutes: readonly Route[] = [
  { method: "GET", path: "ISO", handle: ({ state }) => list(state, [...state.isos.values()]) },
  { method: "GET", path: "ISO/*", handle: readOne },
  { method: "POST", path: "ISO", handle: create },
  { method: "PUT", path: "ISO/*/data", handle: putData, streams: true },
  { method: "PATCH", path: "ISO/*", handle: change },
  { method: "DELETE", path: "ISO/*", handle: remove },
];
