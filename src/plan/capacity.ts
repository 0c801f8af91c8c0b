const mebibyte = 1_048_576;

/**
 * Whether a disk of `liveBytes` is what was asked for. Platforms round up to whole MiB when they attach an image
 * (HyperCore: attach and clone), so anything from the wish to less than one MiB above it is equal.
 */
export function sameCapacity(wantedBytes: number, liveBytes: number): boolean {
  return liveBytes >= wantedBytes && liveBytes < wantedBytes + mebibyte;
}
