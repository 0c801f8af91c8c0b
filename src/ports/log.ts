/** Structured logging: a constant message, the facts in fields. pino's logger satisfies it. Never pass whole objects that may hold secrets. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Log;
}
