/** Resolves with the name of the first SIGINT or SIGTERM. The second one ends the process at once. */
export function untilStopped(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let first = true;
    const handle = (signal: NodeJS.Signals): void => {
      if (!first) process.exit(signal === "SIGINT" ? 130 : 143);
      first = false;
      resolve(signal);
    };
    process.on("SIGINT", handle);
    process.on("SIGTERM", handle);
  });
}
