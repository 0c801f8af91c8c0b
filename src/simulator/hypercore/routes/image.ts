import { checkBody } from "../body.ts";
import { beginUpload, deleteImageSoon, isReady } from "../images.ts";
import { versionAtLeast } from "../options.ts";
import { badGatewayPage, badRequest, notNow } from "../refusal.ts";
import { type ApiRequest, accepted, json, param, type Reply, type Route } from "../route.ts";
import type { ClusterState } from "../state.ts";
import { announcedLength, type Received, receive, virtualSize } from "../upload.ts";
import { type CopyBody, startCopy } from "./device.ts";

const extensions = ["qcow2", "vmdk", "vhd", "vhdx", "img"];
/** Images this small were answered with 502 by 9.8.2. */
const tooSmallBytes = 65_536;

async function upload(request: ApiRequest): Promise<Reply> {
  const { state, tasks, query, message, context } = request;
  const name = query.get("filename") ?? "";
  const extension = name.slice(name.lastIndexOf(".") + 1).toLowerCase();
  checkUpload(name, extension, query.get("filesize"), announcedLength(message));
  if (versionAtLeast(state.facts.icosVersion, 9, 8) && announcedLength(message) <= tooSmallBytes)
    throw badGatewayPage();
  const uuid = state.random.uuid();
  beginUpload(state, uuid, name);
  state.store.flush();
  if (request.cutsUpload) message.socket.destroy();
  keepContent(state, uuid, name, extension, await receive(message, request.intake));
  return accepted(tasks.start({ kind: "image-upload", uuid }, uuid, [uuid], context), uuid);
}

function checkUpload(name: string, extension: string, filesize: string | null, length: number): void {
  if (name === "" || filesize === null) throw badRequest('"filename" and "filesize" are required');
  if (!extensions.includes(extension)) throw badRequest("File type is invalid");
  if (Number(filesize) !== length) throw badRequest('"filesize" differs from Content-Length');
}

function keepContent(state: ClusterState, uuid: string, name: string, extension: string, received: Received): void {
  const qcow2 = extension === "qcow2" || (extension === "img" && state.settings.detectContent);
  const { bytes, sha256 } = received;
  state.contents.put(uuid, { bytes, sha256, virtualBytes: virtualSize(received, qcow2), finalName: name });
}

function attach(request: ApiRequest): Reply {
  const { state, body } = request;
  const image = state.images.get(param(request)) ?? state.refuseMissing();
  const copy = checkBody(body, state.contract.attach) as unknown as CopyBody;
  if (!isReady(state, image)) throw notNow();
  return startCopy(request, "disk-attach", image.uuid, state.settings.concurrentAttach ? [] : [image.uuid], copy);
}

/** Attached disks are copies, so an image can go at any time but in the middle of a task on it. */
function remove(request: ApiRequest): Reply {
  const { state, tasks } = request;
  const image = state.images.get(param(request)) ?? state.refuseMissing();
  tasks.ensureFree(image.uuid);
  deleteImageSoon(state, image.uuid);
  return accepted("");
}

export const imageRoutes: readonly Route[] = [
  { method: "GET", path: "VirtualDisk", handle: ({ state }) => json(state.images.listJson()) },
  { method: "GET", path: "VirtualDisk/*", handle: (request) => json(request.state.images.oneJson(param(request))) },
  { method: "PUT", path: "VirtualDisk/upload", handle: upload, streams: true, query: ["filename", "filesize"] },
  { method: "POST", path: "VirtualDisk/*/attach", handle: attach },
  { method: "DELETE", path: "VirtualDisk/*", handle: remove },
];
