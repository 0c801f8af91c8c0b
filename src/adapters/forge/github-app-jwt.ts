import { createPrivateKey, type KeyObject, sign } from "node:crypto";
import { messageOf, WatcherError } from "../../lib/errors.ts";

/** How far back a JWT is dated, so that a forge whose clock is behind ours does not find it issued in the future. */
const backdatedS = 60;
/** GitHub takes ten minutes at most, counted from `iat`. */
const lifeS = 600;

/** The claim of an App to be itself, signed RS256. `nowMs` is the forge's time as far as it is known. */
export function signAppJwt(app: string, key: KeyObject, nowMs: number): string {
  const iat = Math.floor(nowMs / 1_000) - backdatedS;
  const head = encode({ alg: "RS256", typ: "JWT" });
  const claims = encode({ iat, exp: iat + lifeS, iss: app });
  return `${head}.${claims}.${sign("RSA-SHA256", Buffer.from(`${head}.${claims}`), key).toString("base64url")}`;
}

/** The App's private key from what its file holds (PEM, as GitHub hands it out). */
export function readAppKey(pem: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (cause) {
    throw wrongKey(messageOf(cause), cause);
  }
  if (key.asymmetricKeyType === "rsa") return key;
  throw wrongKey(`it is a key of type ${key.asymmetricKeyType}, not rsa`);
}

function wrongKey(reason: string, cause?: unknown): WatcherError {
  const message = `the private key of the GitHub App cannot be used: ${reason}. It is the .pem file from the App's settings`;
  return new WatcherError("config-invalid", message, { cause });
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
