import type { KeyObject } from "node:crypto";
import { WatcherError } from "../../lib/errors.ts";
import { type Answer, createForgeHttp } from "./forge-http.ts";
import { readAppKey, signAppJwt } from "./github-app-jwt.ts";
import { githubHeaders } from "./github-headers.ts";
import type { TransportOptions } from "./transport.ts";
import { type InstallationToken, parseApp, parseInstallation, parseInstallationToken } from "./wire.ts";

export interface GithubAppOptions extends Omit<TransportOptions, "timeoutMs"> {
  readonly apiUrl: string;
  readonly owner: string;
  readonly repository: string;
  /** App id or client id. */
  readonly id: string;
  /** PEM; read for every new token, so that a rotated key is picked up. */
  readonly privateKey: () => Promise<string>;
  /** Looked up by the repository unless given. */
  readonly installationId?: number | undefined;
  readonly timeoutMs?: number | undefined;
  /** This machine's clock, in milliseconds since 1970. */
  readonly now?: () => number;
}

/** A GitHub App, installed on the repository. */
export interface GithubApp {
  /** An installation token that lives for some minutes at least; a new one when the forge has just `refused` it with 401. */
  token(refused?: string): Promise<string>;
  /** Login that the App writes under. */
  login(): Promise<string>;
  /** What the installation was granted, e.g. `{ statuses: "write" }`. */
  permissions(): Promise<Readonly<Record<string, string>>>;
}

/** A token is renewed when less than this is left of it, or half its life if that is shorter. */
const renewBeforeMs = 5 * 60_000;

interface Held extends InstallationToken {
  readonly renewAtMs: number;
}

/**
 * Makes installation tokens, one at a time, whoever asks. The forge's clock counts: how far ours is off is learnt from the
 * Date of an answer that refuses us.
 */
export function createGithubApp(options: GithubAppOptions): GithubApp {
  const now = options.now ?? Date.now;
  const apiUrl = options.apiUrl.replace(/\/+$/, "");
  const named = `${options.owner}/${options.repository}`;
  let skewMs = 0;
  let jwt = "";
  let held: Held | undefined;
  let making: Promise<Held> | undefined;
  let slug: string | undefined;
  const http = createForgeHttp({
    forge: "GitHub",
    apiUrl,
    token: () => Promise.resolve(jwt),
    caFile: options.caFile,
    proxy: options.proxy,
    timeoutMs: options.timeoutMs ?? 30_000,
    headers: githubHeaders(),
  });

  /** A call as the App itself; once more by the forge's clock when it does not believe ours. */
  async function asApp(call: (signal: AbortSignal) => Promise<Answer>): Promise<Answer> {
    const key = readAppKey(await options.privateKey());
    const first = await signedCall(key, call);
    if (first.status !== 401) return first;
    const date = Date.parse(first.headers["date"] ?? "");
    if (!Number.isNaN(date)) skewMs = date - now();
    const second = await signedCall(key, call);
    if (second.status !== 401) return second;
    throw new WatcherError(
      "forge-auth-failed",
      `GitHub does not accept GitHub App ${options.id}: check that the id and the private key belong together, and this machine's clock`,
    );
  }

  function signedCall(key: KeyObject, call: (signal: AbortSignal) => Promise<Answer>): Promise<Answer> {
    jwt = signAppJwt(options.id, key, now() + skewMs);
    return call(AbortSignal.timeout(4 * (options.timeoutMs ?? 30_000)));
  }

  async function findInstallation(): Promise<number> {
    if (options.installationId !== undefined) return options.installationId;
    const path = `${encodeURIComponent(options.owner)}/${encodeURIComponent(options.repository)}`;
    const answer = await asApp((signal) => http.get(`${apiUrl}/repos/${path}/installation`, signal, [401, 404]));
    if (answer.status === 200) return parseInstallation(answer.body).id;
    throw new WatcherError(
      "forge-auth-failed",
      `GitHub App ${options.id} is not installed on ${named}: install it there`,
    );
  }

  async function make(): Promise<Held> {
    const url = `${apiUrl}/app/installations/${await findInstallation()}/access_tokens`;
    const ask = (body: object): Promise<Answer> =>
      asApp((signal) => http.send("POST", url, body, signal, [401, 404, 422]));
    const narrow = await ask({ repositories: [options.repository] });
    // The name is an old one after a rename: then the repositories that the installation was given are what counts.
    const answer = narrow.status === 422 ? await ask({}) : narrow;
    if (answer.status === 404)
      throw new WatcherError("forge-auth-failed", `GitHub App ${options.id} has no such installation for ${named}`);
    if (answer.status === 422)
      throw new WatcherError("forge-refused", `GitHub makes no token for the installation of App ${options.id}`);
    const made = parseInstallationToken(answer.body);
    const madeAtMs = now() + skewMs;
    const lifeMs = made.expiresAtMs - madeAtMs;
    return { ...made, renewAtMs: made.expiresAtMs - Math.min(renewBeforeMs, lifeMs / 2) };
  }

  async function get(refused: string | undefined): Promise<Held> {
    if (held !== undefined && (held.token === refused || now() + skewMs >= held.renewAtMs)) held = undefined;
    if (held !== undefined) return held;
    making ??= make().finally(() => {
      making = undefined;
    });
    held = await making;
    return held;
  }

  return {
    token: async (refused) => (await get(refused)).token,
    permissions: async () => (await get(undefined)).permissions,
    async login() {
      slug ??= parseApp((await asApp((signal) => http.get(`${apiUrl}/app`, signal, [401]))).body).slug;
      return `${slug}[bot]`;
    },
  };
}
