import { messageOf } from "../lib/errors.ts";
import type { Config, SecretReference } from "./config.ts";

/** Reads every secret once and answers what is wrong with those that cannot be had; the secrets themselves go nowhere. */
export async function checkSecrets(config: Config): Promise<readonly string[]> {
  const found = await Promise.all([...secretsOf(config)].map(problemOf));
  return found.filter((problem) => problem !== undefined);
}

function* secretsOf(config: Config): Generator<readonly [path: string, secret: SecretReference]> {
  if (config.redis.password !== undefined) yield ["redis", config.redis.password];
  for (const { name, auth, forge } of config.repositories) {
    if (auth?.kind === "token") yield [`repository ${name}`, auth.token];
    if (forge.type === "none") continue;
    const secret = forge.type === "github" ? (forge.token ?? forge.app?.privateKey) : forge.token;
    if (secret !== undefined) yield [`forge of repository ${name}`, secret];
  }
  for (const { name, hypercore } of config.clusters) {
    if (hypercore !== undefined) yield [`cluster ${name}`, hypercore.password];
  }
}

async function problemOf([owner, secret]: readonly [string, SecretReference]): Promise<string | undefined> {
  try {
    await secret.read();
    return undefined;
  } catch (error) {
    return `${owner}: ${messageOf(error)}`;
  }
}
