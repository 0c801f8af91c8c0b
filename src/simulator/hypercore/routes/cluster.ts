import { conditions } from "../conditions.ts";
import { storageOfNode } from "../drives.ts";
import { openApiDocument } from "../openapi.ts";
import { memoryByNode } from "../power.ts";
import { type ApiRequest, json, param, type Reply, type Route } from "../route.ts";

function listNodes({ state, addresses, params }: ApiRequest): Reply {
  const used = memoryByNode(state);
  const nodes = state.facts.nodeUUIDs.map((uuid, index) => ({
    uuid,
    lanIP: lanIp(addresses[index] ?? `http://${state.settings.host}`, state.settings.lanIpWithPort),
    backplaneIP: `169.254.0.${index + 1}`,
    peerID: index + 1,
    memSize: state.settings.nodeMemoryBytes,
    totalMemUsageBytes: used.get(uuid) ?? 0,
    numThreads: 32,
    networkStatus: "ONLINE",
    // In the contract, and dead.
    vips: [],
    allowRunningVMs: true,
    ...(state.settings.drives ? storageOfNode(state, index) : {}),
  }));
  const wanted = params[0];
  return json(JSON.stringify(wanted === undefined ? nodes : nodes.filter(({ uuid }) => uuid === wanted)));
}

function lanIp(address: string, withPort: boolean): string {
  const { host, hostname } = new URL(address);
  return withPort ? host : hostname;
}

/** During an update the answering node tells its own version. */
function readCluster({ state, nodeVersion, params }: ApiRequest): Reply {
  const { uuid } = state.facts;
  const cluster = { uuid, clusterName: state.settings.clusterName, icosVersion: nodeVersion };
  return json(JSON.stringify(params[0] === undefined || params[0] === uuid ? [cluster] : []));
}

function readTask(request: ApiRequest): Reply {
  const task = request.tasks.find(param(request));
  return json(JSON.stringify(task === undefined ? [] : [task]));
}

function listConditions({ state, updating }: ApiRequest): Reply {
  return json(JSON.stringify(conditions(state, updating)));
}

export const clusterRoutes: readonly Route[] = [
  { method: "GET", path: "ping", handle: () => json(JSON.stringify({ status: "awake" })) },
  { method: "GET", path: "openapi.json", handle: ({ state }) => json(openApiDocument(state.contract)) },
  { method: "GET", path: "Cluster", handle: readCluster },
  { method: "GET", path: "Cluster/*", handle: readCluster },
  { method: "GET", path: "Node", handle: listNodes },
  { method: "GET", path: "Node/*", handle: listNodes },
  { method: "GET", path: "Condition", handle: listConditions },
  { method: "GET", path: "TaskTag", handle: ({ tasks }) => json(JSON.stringify(tasks.list())) },
  { method: "GET", path: "TaskTag/*", handle: readTask },
];
