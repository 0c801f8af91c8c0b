import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Controls } from "./control.ts";
import { createNodeServer } from "./server.ts";
import type { Certificate } from "./tls.ts";

/** How often another port is asked for when the one the system chose is taken on the address of a later node. */
const portTries = 20;

/** The nodes of a cluster, listening. */
export interface Listening {
  /** One origin per node. */
  readonly addresses: string[];
  /** Cuts every connection. */
  readonly close: () => Promise<void>;
}

/** Starts one server per host. With `certificates` (one per host) they speak TLS. */
export async function listenAsNodes(
  controls: Controls,
  hosts: readonly string[],
  certificates: readonly Certificate[] | undefined,
): Promise<Listening> {
  const { port, distinctHosts } = controls.state.settings;
  for (let tries = 1; ; tries += 1) {
    try {
      return await listenOnce(controls, hosts, certificates);
    } catch (error) {
      const collided = (error as NodeJS.ErrnoException).code === "EADDRINUSE" && distinctHosts && port === 0;
      if (!collided || tries === portTries) throw error;
    }
  }
}

async function listenOnce(
  controls: Controls,
  hosts: readonly string[],
  certificates: readonly Certificate[] | undefined,
): Promise<Listening> {
  const { settings } = controls.state;
  const addresses: string[] = [];
  const servers: Server[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(servers.map(closeServer));
  };
  let { port } = settings;
  try {
    for (const [index, host] of hosts.entries()) {
      const server = createNodeServer(controls, { index, addresses }, certificates?.[index]);
      server.listen(port, host);
      await once(server, "listening");
      servers.push(server);
      const { port: taken } = server.address() as AddressInfo;
      addresses.push(`${certificates === undefined ? "http" : "https"}://${host}:${taken}`);
      if (settings.distinctHosts) port = taken;
      else if (port !== 0) port += 1;
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { addresses, close };
}

async function closeServer(server: Server): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections();
  await closed;
}
