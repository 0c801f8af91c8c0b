/** Something wrong, or worth a warning, in the configuration file. Lines and columns count from 1. */
export interface ConfigProblem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Path of the key, e.g. `repositories[0].poll`; "" for the file itself. */
  readonly path: string;
  readonly message: string;
}

/** A finding before it has a place: the path says where in the file it is. */
export interface Finding {
  readonly path: ConfigPath;
  readonly message: string;
}

export type ConfigPath = readonly (string | number)[];

/** `kraken-gitops.yaml:12:9 repositories[0].poll: must be at least 1s`, the form editors can jump to. */
export function formatConfigProblem({ file, line, column, path, message }: ConfigProblem): string {
  return `${file}:${line}:${column}${path === "" ? "" : ` ${path}`}: ${message}`;
}

export function pathText(path: ConfigPath): string {
  return path.map((step, index) => (typeof step === "number" ? `[${step}]` : index === 0 ? step : `.${step}`)).join("");
}
