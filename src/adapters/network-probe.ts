import { connect } from "node:net";
import { request } from "undici";
import type { Probe } from "../ports/probe.ts";

const deadlineMs = 3_000;

/** Probes over the network of this process. */
export function createNetworkProbe(): Probe {
  return {
    tcp: (address, port, signal) =>
      acceptsConnection(address, port, AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)])),
    async http(address, portAndPath, signal) {
      const host = address.includes(":") ? `[${address}]` : address;
      try {
        const answer = await request(`http://${host}${portAndPath}`, {
          signal: AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)]),
        });
        await answer.body.dump();
        return answer.statusCode >= 200 && answer.statusCode < 400;
      } catch {
        return false;
      }
    },
  };
}

function acceptsConnection(host: string, port: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, signal });
    const settle = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => settle(true));
    socket.once("error", () => settle(false));
  });
}
