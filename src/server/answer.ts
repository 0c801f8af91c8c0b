/** An answer before it is written. */
export interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** The connection ends with it: its request was not read to the end. */
  readonly close?: boolean;
}

export function answer(status: number, text: string, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, body: { status: text }, headers };
}
