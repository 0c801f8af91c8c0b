import { posix } from "node:path";

interface Entry {
  readonly sha256: string;
  /** undefined in a file that holds nothing but a hash. */
  readonly name: string | undefined;
}

export type ChecksumAnswer = { readonly sha256: string } | { readonly problem: string };

const gnu = /^\\?([0-9a-f]{64})(?: [ *](.+))?$/i;
const bsd = /^SHA256 ?\((.+)\) ?= ?([0-9a-f]{64})$/i;

/**
 * The sha256 a checksum file gives for a file name: GNU lines (`<hex>  name`, `<hex> *name`), BSD lines
 * (`SHA256 (name) = <hex>`), or nothing but a hash; other lines (comments, signatures, other hashes) count for nothing.
 * A name may stand there with folders before it. A single entry counts whatever it is called.
 */
export function findChecksum(text: string, fileName: string): ChecksumAnswer {
  const entries = text.split(/\r?\n/).flatMap((line) => readEntry(line.trim()) ?? []);
  const [first] = entries;
  if (first === undefined) return { problem: "it holds no SHA-256 in the GNU or BSD format" };
  if (entries.length === 1) return { sha256: first.sha256 };
  const exact = entries.filter(({ name }) => name?.replace(/^\.\//, "") === fileName);
  const chosen = exact.length > 0 ? exact : entries.filter(({ name }) => posix.basename(name ?? "") === fileName);
  const hashes = [...new Set(chosen.map(({ sha256 }) => sha256))];
  const [sha256] = hashes;
  if (sha256 === undefined) return { problem: `none of its ${entries.length} entries is for ${fileName}` };
  return hashes.length === 1 ? { sha256 } : { problem: `it has different entries for ${fileName}` };
}

function readEntry(line: string): Entry | undefined {
  const plain = gnu.exec(line);
  if (plain !== null) return { sha256: (plain[1] ?? "").toLowerCase(), name: plain[2] };
  const tagged = bsd.exec(line);
  return tagged === null ? undefined : { sha256: (tagged[2] ?? "").toLowerCase(), name: tagged[1] };
}
