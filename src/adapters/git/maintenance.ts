import type { MirrorCommands } from "./mirror-commands.ts";

/** Above these git's own advice is to pack (gc.auto, gc.autoPackLimit); a mirror is fetched into often, in small bites. */
const looseObjectsKept = 3_000;
const packsKept = 40;
/** Heads of pull requests that stay fetched; older ones are fetched again when they are asked for. */
const wantedRefsKept = 500;

/** Keeps a mirror small: forgets the oldest pull-request heads and packs when there is much to pack. Safe beside readers. */
export async function tidyMirror(commands: MirrorCommands, wantedRefs: string, signal: AbortSignal): Promise<void> {
  const format = ["--sort=-committerdate", "--format=%(refname)", wantedRefs];
  const refs = (await commands.local(["for-each-ref", ...format], "list references", signal))
    .split("\n")
    .filter(Boolean);
  for (const ref of refs.slice(wantedRefsKept)) {
    await commands.local(["update-ref", "-d", ref], "forget a reference", signal);
  }
  const counts = await commands.local(["count-objects", "-v"], "count objects", signal);
  if (count(counts, "count") > looseObjectsKept || count(counts, "packs") > packsKept) {
    await commands.pack(signal);
  }
}

function count(output: string, name: string): number {
  return Number(new RegExp(`^${name}: (\\d+)$`, "m").exec(output)?.[1] ?? 0);
}
