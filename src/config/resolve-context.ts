import { fileURLToPath } from "node:url";
import path from "node:path";
import { parseBytes } from "../manifest/quantity.ts";
import type { ConfigPath, Finding } from "./config-problem.ts";
import type { SecretReference } from "./config.ts";
import { secretInEnvironment, secretInFile } from "./secrets.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** This machine's own address: nobody listens on the way. */
export function isLoopback(url: URL): boolean {
  return url.hostname === "localhost" || url.hostname === "[::1]" || url.hostname.startsWith("127.");
}

/** Collects what is wrong while values are resolved, so that every problem is told at once. */
export class ResolveContext {
  readonly problems: Finding[] = [];
  readonly warnings: Finding[] = [];
  readonly #folder: string;
  readonly #env: Environment;

  /** `folder` is the configuration file's: relative paths start there. */
  constructor(folder: string, env: Environment) {
    this.#folder = folder;
    this.#env = env;
  }

  problem(at: ConfigPath, message: string): void {
    this.problems.push({ path: at, message });
  }

  warning(at: ConfigPath, message: string): void {
    this.warnings.push({ path: at, message });
  }

  file(name: string): string;
  file(name: string | undefined): string | undefined;
  file(name: string | undefined): string | undefined {
    if (name === undefined) return undefined;
    return name.startsWith("file://") ? fileURLToPath(name) : path.resolve(this.#folder, name);
  }

  /** One of `<kind>File` and `<kind>Env`; none is a problem where `required`. */
  secret(
    raw: Readonly<Record<string, unknown>>,
    kind: "token" | "password" | "webhookSecret",
    at: ConfigPath,
    required: boolean,
  ): SecretReference | undefined {
    const file = raw[`${kind}File`];
    const variable = raw[`${kind}Env`];
    if (typeof file === "string" && typeof variable === "string") {
      this.problem(at, `give ${kind}File or ${kind}Env, not both`);
    }
    if (typeof file === "string") return secretInFile(this.file(file));
    if (typeof variable === "string") return secretInEnvironment(variable, this.#env);
    if (required) this.problem(at, `${kind}File (or ${kind}Env) is missing: secrets are given by reference`);
    return undefined;
  }

  /** A URL of one of these protocols and without credentials, or undefined after telling what is wrong. */
  url(text: string, at: ConfigPath, protocols: readonly string[]): URL | undefined {
    const wanted = protocols.map((protocol) => `${protocol}//`).join(" or ");
    if (!URL.canParse(text)) {
      this.problem(at, `is no URL (write ${wanted}...)`);
      return undefined;
    }
    const url = new URL(text);
    if (!protocols.includes(url.protocol)) this.problem(at, `must begin with ${wanted}`);
    else if (url.password !== "" || (url.username !== "" && url.protocol.startsWith("http"))) {
      this.problem(at, "must not hold credentials: secrets are given by reference (a file or an environment variable)");
    } else return url;
    return undefined;
  }

  /** Bytes from a size as people write it; undefined when there is none, or after telling what is wrong. */
  size(value: number | string | undefined, at: ConfigPath): number | undefined {
    if (value === undefined) return undefined;
    const bytes = parseBytes(value);
    if (typeof bytes === "number" && bytes > 0) return bytes;
    this.problem(at, typeof bytes === "number" ? "must be more than nothing" : `${bytes.message} (${bytes.hint})`);
    return undefined;
  }

  optionalUrl(text: string | undefined, at: ConfigPath, protocols: readonly string[]): string | undefined {
    if (text !== undefined) this.url(text, at, protocols);
    return text;
  }

  unique(names: readonly string[], list: string, what: string): void {
    for (const [index, name] of names.entries()) {
      const first = names.indexOf(name);
      if (first !== index)
        this.problem([list, index, "name"], `${what} "${name}" is there already (${list}[${first}])`);
    }
  }

  known(names: readonly string[] | undefined, clusters: ReadonlySet<string>, at: ConfigPath): void {
    for (const [index, name] of (names ?? []).entries()) {
      if (!clusters.has(name)) this.problem([...at, index], `there is no cluster "${name}" under clusters`);
    }
  }
}
