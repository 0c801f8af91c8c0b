import type { Exchange } from "../../src/simulator/hypercore/exchange.ts";
import { type DescribedCall, HypercoreDescription } from "./hypercore-description.ts";
import { HypercoreKnowledge } from "./hypercore-knowledge.ts";
import { rules } from "./hypercore-rules.ts";

/** Where an exchange and the API's contract part. */
export interface Violation {
  /** `request`, `answer`, or the name of a rule. */
  readonly rule: string;
  readonly problem: string;
  /** Method, path and body, with secrets masked. */
  readonly request: string;
}

/** A request with this header was made wrong on purpose: it is watched, and not judged. */
export const uncheckedHeader = "x-unchecked";

/**
 * Holds every exchange with a cluster to the description of its API and to the rules beyond it, and gathers what it
 * finds. Give `observe` to the simulator.
 */
export class HypercoreContract {
  /** Of the cluster; what it knows differs between versions. */
  version: string;
  readonly #knowledge = new HypercoreKnowledge();
  readonly #violations: Violation[] = [];

  constructor(version: string) {
    this.version = version;
  }

  get violations(): readonly Violation[] {
    return this.#violations;
  }

  readonly observe = (exchange: Exchange): void => {
    try {
      if (exchange.headers[uncheckedHeader] === undefined) this.#violations.push(...this.#judge(exchange));
      this.#knowledge.learn(exchange);
    } catch (error) {
      // Thrown into the simulator, it would leave a client waiting and say nothing.
      const problem = `it cannot be judged: ${String(error)}`;
      this.#violations.push({ rule: "request", problem, request: describeRequest(exchange) });
    }
  };

  /** Throws with all violations so far. */
  requireKept(): void {
    if (this.#violations.length === 0) return;
    const lines = this.#violations.map(({ rule, problem, request }) => `- ${rule}: ${problem}\n  ${request}`);
    throw new Error(`HyperCore's contract was broken ${lines.length} times:\n${[...new Set(lines)].join("\n")}`);
  }

  #judge(exchange: Exchange): Violation[] {
    const description = describe(this.version);
    const call = description.find(exchange.method, exchange.path);
    const request = describeRequest(exchange);
    if (call === undefined) return [{ rule: "request", problem: "there is no such call", request }];
    const found = [
      ...requestProblems(description, call, exchange).map((problem) => ({ rule: "request", problem })),
      ...answerProblems(description, call, exchange).map((problem) => ({ rule: "answer", problem })),
      ...rules.flatMap(({ name, broken }) => {
        const problem = broken(exchange, this.#knowledge);
        return problem === undefined ? [] : [{ rule: name, problem }];
      }),
    ];
    return found.map((violation) => ({ ...violation, request }));
  }
}

// Compiling takes a while: done on first use, kept for the life of the process. Holds no other state.
const descriptions = new Map<string, HypercoreDescription>();

function describe(version: string): HypercoreDescription {
  const known = descriptions.get(version) ?? new HypercoreDescription(version);
  descriptions.set(version, known);
  return known;
}

type Json = Readonly<Record<string, unknown>>;
interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly required?: boolean;
  readonly schema: unknown;
}

function requestProblems(description: HypercoreDescription, call: DescribedCall, exchange: Exchange): string[] {
  return [
    ...credentialProblems(description, call, exchange),
    ...parameterProblems(description, call, exchange),
    ...bodyProblems(description, call, exchange),
  ];
}

function credentialProblems(
  description: HypercoreDescription,
  { operation }: DescribedCall,
  { headers }: Exchange,
): string[] {
  const basic = /^Basic [A-Za-z0-9+/]+=*$/.test(headers.authorization ?? "");
  const session = /(^|;\s*)sessionID=[^;]+/.test(headers.cookie ?? "");
  return description.isSecured(operation) && !basic && !session ? ["it carries no credentials"] : [];
}

function parameterProblems(
  description: HypercoreDescription,
  { operation, pathParams }: DescribedCall,
  { query, headers }: Exchange,
): string[] {
  const parameters = ((operation["parameters"] ?? []) as unknown[]).map(
    (each) => description.resolve(each) as unknown as Parameter,
  );
  const given = { path: pathParams, query: Object.fromEntries(query), header: headers } as const;
  const known = new Set(parameters.filter((each) => each.in === "query").map(({ name }) => name));
  const unknown = query
    .filter(([name]) => !known.has(name))
    .map(([name]) => `query parameter "${name}" is not allowed`);
  const wrong = parameters.flatMap(({ name, in: place, required, schema }) => {
    const value = given[place][place === "header" ? name.toLowerCase() : name];
    if (value === undefined) return required === true ? [`${place} parameter ${name} is missing`] : [];
    return description.problems(schema, value).map((problem) => `${place} parameter ${name} ${problem}`);
  });
  return [...unknown, ...wrong];
}

function bodyProblems(
  description: HypercoreDescription,
  { operation }: DescribedCall,
  { headers, body, bodyBytes, query }: Exchange,
): string[] {
  // Cut off or refused before anybody read it: there is nothing to look at.
  if (bodyBytes === undefined) return [];
  const content = description.resolve(operation["requestBody"])?.["content"] as Json | undefined;
  if (content === undefined) return bodyBytes > 0 ? ["it takes no body"] : [];
  if ("*/*" in content) return lengthProblems(headers, bodyBytes, query);
  if (bodyBytes === 0) return ["its body is missing"];
  const type = headers["content-type"]?.split(";")[0];
  const schema = (content["application/json"] as Json | undefined)?.["schema"];
  return [
    ...(type === "application/json" ? [] : [`its Content-Type is ${type ?? "missing"}, not application/json`]),
    ...description.problems(schema, body),
  ];
}

/** Raw content is sent with its exact length, and never in chunks. */
function lengthProblems(headers: Exchange["headers"], bodyBytes: number, query: Exchange["query"]): string[] {
  const announced = headers["content-length"];
  const filesize = query.find(([name]) => name === "filesize")?.[1];
  return [
    ...(headers["transfer-encoding"] === undefined ? [] : ["it is sent in chunks"]),
    ...(announced === String(bodyBytes)
      ? []
      : [`Content-Length ${announced ?? "is missing"}, ${bodyBytes} bytes came`]),
    ...(filesize === undefined || filesize === announced ? [] : [`filesize ${filesize} is not its Content-Length`]),
  ];
}

function answerProblems(description: HypercoreDescription, { operation }: DescribedCall, exchange: Exchange): string[] {
  const { status, answer, answerType } = exchange;
  if (status === 0) return [];
  const response = description.resolve((operation["responses"] as Json)[String(status)]);
  if (response === undefined) return [`status ${status} is not described`];
  const content = response["content"] as Readonly<Record<string, { readonly schema: unknown }>> | undefined;
  if (content === undefined) return [];
  const described = content[answerType.split(";")[0] ?? ""];
  if (described === undefined) return [`status ${status} with ${answerType || "no type"} is not described`];
  if (!answerType.startsWith("application/json")) return [...description.problems(described.schema, answer)];
  try {
    return [...description.problems(described.schema, JSON.parse(answer) as unknown)];
  } catch {
    return ["it is not JSON"];
  }
}

const secrets = new Set(["password", "userData", "metaData", "sessionID"]);
const longestBody = 600;

function describeRequest({ method, path, query, body, status }: Exchange): string {
  const search = query.length === 0 ? "" : `?${query.map(([name, value]) => `${name}=${value}`).join("&")}`;
  const text =
    body === undefined ? "" : ` ${JSON.stringify(body, (key, value: unknown) => (secrets.has(key) ? "***" : value))}`;
  const shown = text.length > longestBody ? `${text.slice(0, longestBody)}...` : text;
  return `${method} ${path}${search}${shown} (status ${status})`;
}
