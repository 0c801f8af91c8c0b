const everyMs = 250;

export type Progress = (doneBytes: number, totalBytes: number) => void;

/** Passes on the first call, the one that says all is done, and at most four a second between them. */
export function paced(progress: Progress): Progress {
  let toldMs = Number.NEGATIVE_INFINITY;
  return (doneBytes, totalBytes) => {
    const now = performance.now();
    if (now - toldMs < everyMs && doneBytes !== totalBytes) return;
    toldMs = now;
    progress(doneBytes, totalBytes);
  };
}
