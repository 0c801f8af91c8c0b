/** Parts of a name that mark its value as secret, letters and digits only. */
const sensitiveParts =
  /password|passwd|passphrase|passcode|secret|token|credential|apikey|accesskey|privatekey|presharedkey|encryptionkey|signingkey|authkey|sshkey|masterkey|licensekey|connectionstring/;
/** Whole words that do, too short to look for inside others. */
const sensitiveWords = new Set(["pass", "pwd", "psk", "pw"]);
/** Words before `key` that make it a public one. */
const publicKeys = new Set(["public", "pub", "gpg", "host", "foreign", "primary", "authorized"]);
/** Last words that say the value is about a secret but is none. */
const harmlessEndings = new Set(["file", "path", "ttl", "length", "policy", "expiry", "expires"]);

/** Whether a key of that name (YAML, JSON, environment, command line) usually holds a secret: `db_password`, `apiKey`, `PSK`. */
export function isSensitiveName(name: string): boolean {
  const words = name
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1 $2")
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== "");
  const last = words.at(-1);
  if (last === undefined || harmlessEndings.has(last)) return false;
  if (sensitiveParts.test(words.join(""))) return true;
  return words.some((word) => sensitiveWords.has(word)) || (last === "key" && !publicKeys.has(words.at(-2) ?? ""));
}
