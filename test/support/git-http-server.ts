import { execFileSync, type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect, type Socket } from "node:net";
import { join } from "node:path";
import { Transform } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";

export interface GitHttpOptions {
  /** Folder that holds the bare repositories. */
  readonly root: string;
  /** Basic credentials that every request must carry. */
  readonly auth?: { readonly username?: string; readonly password: string };
  /** Delay before every answer. */
  readonly latencyMs?: number;
  readonly tls?: TestCertificate;
}

/** How the server treats requests from now on. */
export type Mood =
  | { readonly kind: "normal" }
  /** Accepts and never answers. */
  | { readonly kind: "hang" }
  | { readonly kind: "status"; readonly code: number; readonly location?: string }
  /** Breaks the connection after so many bytes of a pack. */
  | { readonly kind: "drop"; readonly afterBytes: number }
  /** Sends packs no faster than this. */
  | { readonly kind: "slow"; readonly bytesPerSecond: number };

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly authorized: boolean;
}

/** Serves bare repositories over git's smart HTTP protocol through `git http-backend`, on 127.0.0.1. */
export class GitHttpServer implements AsyncDisposable {
  readonly requests: SeenRequest[] = [];
  mood: Mood = { kind: "normal" };
  /** Bytes that the backend has answered, headers included. */
  sentBytes = 0;
  readonly #options: GitHttpOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #children = new Set<ChildProcess>();

  private constructor(options: GitHttpOptions) {
    this.#options = options;
    const listener: RequestListener = (request, response) => this.#answer(request, response);
    this.#server = options.tls
      ? createTlsServer({ key: options.tls.key, cert: options.tls.cert }, listener)
      : createServer(listener);
    this.#server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
  }

  static async start(options: GitHttpOptions): Promise<GitHttpServer> {
    const server = new GitHttpServer(options);
    await listen(server.#server);
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The address of a repository in the root folder. */
  url(name: string): string {
    return `${this.#options.tls ? "https" : "http"}://127.0.0.1:${this.port}/${name}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) child.kill("SIGKILL");
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const authorized = this.#isAuthorized(request);
    this.requests.push({ method: request.method ?? "", path: request.url ?? "", authorized });
    if (this.mood.kind === "hang") return;
    setTimeout(() => this.#answerNow(request, response, authorized), this.#options.latencyMs ?? 0);
  }

  #answerNow(request: IncomingMessage, response: ServerResponse, authorized: boolean): void {
    if (this.mood.kind === "status") {
      const location = this.mood.location === undefined ? {} : { location: this.mood.location + (request.url ?? "") };
      response.writeHead(this.mood.code, location).end();
    } else if (authorized) this.#runBackend(request, response);
    else response.writeHead(401, { "www-authenticate": 'Basic realm="git"' }).end("credentials wanted\n");
  }

  #isAuthorized(request: IncomingMessage): boolean {
    const { auth } = this.#options;
    if (!auth) return true;
    const [scheme, encoded = ""] = (request.headers.authorization ?? "").split(" ");
    const [username, ...password] = Buffer.from(encoded, "base64").toString().split(":");
    const nameFits = auth.username === undefined || auth.username === username;
    return scheme === "Basic" && nameFits && password.join(":") === auth.password;
  }

  #runBackend(request: IncomingMessage, response: ServerResponse): void {
    const child = spawn(backend(), {
      env: this.#cgiEnvironment(request),
      stdio: ["pipe", "pipe", "ignore"],
    });
    this.#children.add(child);
    child.once("close", () => this.#children.delete(child));
    child.stdin.on("error", () => undefined); // the backend may end before it has read everything
    child.stdout.on("data", (chunk: Buffer) => (this.sentBytes += chunk.length));
    request.pipe(child.stdin);
    response.once("close", () => child.kill("SIGKILL"));
    const dropAfter = this.mood.kind === "drop" && request.method === "POST" ? this.mood.afterBytes : undefined;
    const output = this.mood.kind === "slow" ? child.stdout.pipe(throttle(this.mood.bytesPerSecond)) : child.stdout;
    relayCgi(output, response, dropAfter);
  }

  /** RFC 3875, as far as git-http-backend looks at it. */
  #cgiEnvironment(request: IncomingMessage): NodeJS.ProcessEnv {
    const url = new URL(request.url ?? "/", "http://127.0.0.1");
    return {
      PATH: process.env["PATH"],
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_CONFIG_GLOBAL: "/dev/null",
      GIT_PROJECT_ROOT: this.#options.root,
      GIT_HTTP_EXPORT_ALL: "1",
      PATH_INFO: decodeURIComponent(url.pathname),
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method,
      CONTENT_TYPE: request.headers["content-type"] ?? "",
      CONTENT_LENGTH: request.headers["content-length"] ?? "",
      HTTP_CONTENT_ENCODING: request.headers["content-encoding"] ?? "",
      GIT_PROTOCOL: String(request.headers["git-protocol"] ?? ""),
      REMOTE_ADDR: "127.0.0.1",
      ...(this.#options.auth ? { REMOTE_USER: "tester" } : {}),
    };
  }
}

let backendPath: string | undefined;

/** The program itself: through `git http-backend` every request would cost a process more. */
function backend(): string {
  backendPath ??= join(execFileSync("git", ["--exec-path"], { encoding: "utf8" }).trim(), "git-http-backend");
  return backendPath;
}

/** Lets a tenth of a second's share pass every tenth of a second. */
function throttle(bytesPerSecond: number): Transform {
  const share = Math.ceil(bytesPerSecond / 10);
  return new Transform({
    async transform(chunk: Buffer, _encoding, done) {
      for (let offset = 0; offset < chunk.length; offset += share) {
        this.push(chunk.subarray(offset, offset + share));
        await sleep(100);
      }
      done();
    },
  });
}

/** Copies a CGI answer; breaks the connection after `dropAfter` bytes of its body. */
function relayCgi(output: NodeJS.ReadableStream, response: ServerResponse, dropAfter: number | undefined): void {
  let pending: Buffer | undefined = Buffer.alloc(0);
  let sent = 0;
  const body = (chunk: Buffer): void => {
    if (dropAfter === undefined) response.write(chunk);
    else if (sent < dropAfter) {
      response.write(chunk.subarray(0, dropAfter - sent), () => sent >= dropAfter && response.destroy());
    }
    sent += chunk.length;
  };
  output.on("data", (chunk: Buffer) => {
    if (!pending) return body(chunk);
    pending = Buffer.concat([pending, chunk]);
    const end = pending.indexOf("\r\n\r\n");
    if (end < 0) return;
    const rest = pending.subarray(end + 4);
    writeCgiHead(pending.toString("latin1", 0, end), response);
    pending = undefined;
    body(rest);
  });
  output.once("end", () => response.end());
}

function writeCgiHead(head: string, response: ServerResponse): void {
  let status = 200;
  for (const line of head.split("\r\n")) {
    const [name = "", ...value] = line.split(": ");
    if (name.toLowerCase() === "status") status = Number(value.join(": ").split(" ")[0]);
    else response.setHeader(name, value.join(": "));
  }
  response.statusCode = status;
}

export interface TestCertificate {
  readonly key: Buffer;
  readonly cert: Buffer;
  /** The certificate itself: it is its own authority. */
  readonly caFile: string;
}

/** Makes a self-signed certificate for 127.0.0.1 with openssl. */
export function makeCertificate(folder: string, name = "server"): TestCertificate {
  const keyFile = join(folder, `${name}.key`);
  const caFile = join(folder, `${name}.pem`);
  const subject = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-days", "2"];
  const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  execFileSync("openssl", ["req", ...kind, "-keyout", keyFile, "-out", caFile, ...subject], { stdio: "ignore" });
  return { key: readFileSync(keyFile), cert: readFileSync(caFile), caFile };
}

/** A forward proxy on 127.0.0.1: plain requests and CONNECT tunnels. */
export class ForwardProxy implements AsyncDisposable {
  /** What was asked of it: `CONNECT host:port` or `GET http://...`. */
  readonly asked: string[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(credentials: string | undefined) {
    const wanted = credentials === undefined ? undefined : `Basic ${Buffer.from(credentials).toString("base64")}`;
    const admitted = (request: IncomingMessage): boolean =>
      wanted === undefined || request.headers["proxy-authorization"] === wanted;
    this.#server = createServer((request, response) => {
      this.asked.push(`${request.method} ${request.url}`);
      if (admitted(request)) this.#forward(request, response);
      else response.writeHead(407, { "proxy-authenticate": 'Basic realm="proxy"' }).end();
    });
    this.#server.on("connect", (request: IncomingMessage, socket: Socket) => {
      this.asked.push(`CONNECT ${request.url}`);
      if (admitted(request)) this.#tunnel(request, socket);
      else
        socket.end(
          'HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm="proxy"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n',
        );
    });
    this.#server.on("connection", (socket: Socket) => this.#remember(socket));
  }

  static async start(credentials?: string): Promise<ForwardProxy> {
    const proxy = new ForwardProxy(credentials);
    await listen(proxy.#server);
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #remember(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => this.#sockets.delete(socket));
  }

  #tunnel(request: IncomingMessage, socket: Socket): void {
    const [host = "", port = ""] = (request.url ?? "").split(":");
    const upstream = connect(Number(port), host, () => {
      socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      upstream.pipe(socket);
      socket.pipe(upstream);
    });
    this.#remember(upstream);
  }

  /** Replays a plain request byte for byte on a connection of its own. */
  #forward(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "");
    const upstream = connect(Number(url.port), url.hostname, () => {
      const headers = Object.entries(request.headers).filter(([name]) => !/^(proxy-|connection)/.test(name));
      const lines = [
        `${request.method} ${url.pathname}${url.search} HTTP/1.0`,
        ...headers.map(([name, value]) => `${name}: ${String(value)}`),
      ];
      upstream.write(`${lines.join("\r\n")}\r\nconnection: close\r\n\r\n`);
      request.pipe(upstream, { end: false });
    });
    this.#remember(upstream);
    const client = response.socket;
    if (client) upstream.pipe(client);
  }
}

function listen(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve());
  });
}
