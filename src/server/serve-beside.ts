import type { Engine } from "../app/engine.ts";
import type { ServerConfig } from "../config/config.ts";
import { type HttpServer, startHttpServer } from "./http-server.ts";

const againMs = 5_000;

/**
 * Serves beside other work. Where another process of ours on this machine has the address already, that one takes the
 * webhooks for both, and this one takes over when it ends. Throws `server-failed` for any other trouble.
 */
export async function serveBeside(engine: Engine, config: ServerConfig): Promise<AsyncDisposable> {
  const stop = new AbortController();
  let server = await listen(engine, config);
  if (server === undefined)
    engine.log.warn(
      { ...config },
      "another program listens on server.listen: no webhooks come to this process while it does",
    );
  const waiting = (async () => {
    while (server === undefined && !stop.signal.aborted) {
      await engine.clock.sleep(againMs, stop.signal).catch(() => undefined);
      if (stop.signal.aborted) return;
      server = await listen(engine, config).catch(() => undefined);
    }
  })();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await waiting;
      await server?.[Symbol.asyncDispose]();
    },
  };
}

async function listen(engine: Engine, config: ServerConfig): Promise<HttpServer | undefined> {
  try {
    return await startHttpServer(engine, config);
  } catch (error) {
    const cause = error instanceof Error ? (error.cause as NodeJS.ErrnoException | undefined) : undefined;
    if (cause?.code === "EADDRINUSE") return undefined;
    throw error;
  }
}
