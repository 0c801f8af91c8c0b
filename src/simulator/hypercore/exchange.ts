import type { IncomingHttpHeaders } from "node:http";

/** One request to the API and what became of it, as tests may watch it. It holds secrets: not for logs. */
export interface Exchange {
  /** Index of the node, from 0. */
  readonly node: number;
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: readonly (readonly [name: string, value: string])[];
  readonly headers: IncomingHttpHeaders;
  /** The parsed body of a request in JSON. */
  readonly body: unknown;
  /** Bytes of the body that were read; undefined when it broke off or nobody read it. */
  readonly bodyBytes: number | undefined;
  /** Of the answer as it was made; 0 when there was none. */
  readonly status: number;
  readonly answerType: string;
  readonly answer: string;
  /** False when the answer was withheld: cut off, cut in half, or never given. */
  readonly delivered: boolean;
}

/** What is learnt about a request's body while it is worked on. */
export interface Intake {
  body: unknown;
  bytes: number | undefined;
}
