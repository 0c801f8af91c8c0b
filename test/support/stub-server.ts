import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface StubRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: unknown;
}

/** What is answered: an object becomes JSON, a text is sent as it is; `hang` never answers, `cut` breaks the connection. */
export type StubReply =
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: unknown }
  | { readonly hang: "answer" | "body" }
  | { readonly cut: true };

/**
 * A server that plays a script: requests must come in this order. One that was not expected is answered with 599 and
 * reported by `finish`, as is one that never came.
 */
export interface StubServer {
  readonly url: string;
  readonly requests: readonly StubRequest[];
  expect(line: string, reply: StubReply | ((request: StubRequest) => StubReply)): void;
  /** Closes the server; what did not go by the script. */
  finish(): Promise<readonly string[]>;
}

interface Step {
  readonly line: string;
  readonly reply: StubReply | ((request: StubRequest) => StubReply);
}

export async function startStubServer(): Promise<StubServer> {
  const script: Step[] = [];
  const requests: StubRequest[] = [];
  const surprises: string[] = [];
  const server = createServer((incoming, response) => {
    void readRequest(incoming).then((request) => {
      requests.push(request);
      const line = `${request.method} ${request.path}`;
      const step = script.shift();
      if (step === undefined || step.line !== line)
        surprises.push(`${line} came in place of ${step?.line ?? "nothing"}`);
      const reply = step === undefined || step.line !== line ? { status: 599 } : step.reply;
      return answer(response, typeof reply === "function" ? reply(request) : reply);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    expect: (line, reply) => {
      script.push({ line, reply });
    },
    async finish() {
      const closed = new Promise((resolve) => {
        server.close(resolve);
      });
      server.closeAllConnections();
      await closed;
      return [...surprises, ...script.map((step) => `${step.line} never came`)];
    },
  };
}

async function readRequest(incoming: IncomingMessage): Promise<StubRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString("utf8");
  return {
    method: incoming.method ?? "",
    path: incoming.url ?? "",
    headers: incoming.headers,
    body: text === "" ? undefined : (JSON.parse(text) as unknown),
  };
}

function answer(response: ServerResponse, reply: StubReply): void {
  if ("cut" in reply) {
    response.destroy();
  } else if ("hang" in reply) {
    if (reply.hang === "body") response.writeHead(200, { "content-type": "application/json" }).write("[");
  } else {
    response.writeHead(reply.status, reply.headers ?? {});
    if (reply.body === undefined) response.end();
    else response.end(typeof reply.body === "string" ? reply.body : JSON.stringify(reply.body));
  }
}
