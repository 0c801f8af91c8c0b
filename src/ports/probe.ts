/** Looks at a guest from outside, for readiness. Answers false instead of throwing when the guest does not answer. */
export interface Probe {
  /** A TCP connection is accepted. */
  tcp(address: string, port: number, signal: AbortSignal): Promise<boolean>;
  /** An HTTP GET of `http://<address><portAndPath>` answers 2xx or 3xx; `portAndPath` is like `:8080/healthz`. */
  http(address: string, portAndPath: string, signal: AbortSignal): Promise<boolean>;
}
