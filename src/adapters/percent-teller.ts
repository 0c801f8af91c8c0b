/** Turns bytes into lines of progress, at most one per 5 percent. */
export function percentTeller(
  what: string,
  progress: (text: string) => void,
): (doneBytes: number, totalBytes: number) => void {
  let told = -5;
  return (doneBytes, totalBytes) => {
    const percent = totalBytes === 0 ? 100 : Math.floor((100 * doneBytes) / totalBytes);
    if (percent < told + 5 && percent !== 100) return;
    if (percent === told) return;
    told = percent;
    progress(`${what} ${percent}%`);
  };
}
