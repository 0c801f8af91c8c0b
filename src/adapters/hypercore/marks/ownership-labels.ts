/**
 * Our marks in the labels of a VM (HyperCore 9.7 and later): people do not see and edit them as they do tags, and clones
 * do not inherit them. A value takes 256 characters of base64, so the marks are cut into pieces; the name of each says
 * how many there are, and only a whole set counts. Limits: letters, digits, `-` and `_` in names, 64 labels on a VM, and
 * a PATCH replaces the whole map (HyperCore field notes).
 */
export type Labels = ReadonlyMap<string, string>;

const pieceBytes = 192;
const mostLabels = 64;
const pieceName = /^kraken-gitops-(\d{1,2})-of-(\d{1,2})$/;

/** The marks in a VM's labels; empty when there are none, or not all pieces of them. */
export function unpackMarks(labels: Labels): string[] {
  const pieces = new Map<number, string>();
  const totals = new Set<number>();
  for (const [name, value] of labels) {
    const match = pieceName.exec(name);
    if (match === null) continue;
    pieces.set(Number(match[1]), Buffer.from(value, "base64").toString("utf8"));
    totals.add(Number(match[2]));
  }
  const [total = 0] = totals;
  const numbers = Array.from({ length: total }, (_item, index) => index + 1);
  if (totals.size !== 1 || pieces.size !== total || numbers.some((number) => !pieces.has(number))) return [];
  const text = numbers.map((number) => pieces.get(number)).join("");
  return text.split(",").filter((mark) => mark !== "");
}

/** The map to write: everybody else's labels as they are, and the marks. Undefined when there is no room. */
export function packMarks(marks: readonly string[], before: Labels): Labels | undefined {
  const text = Buffer.from(marks.join(","), "utf8");
  const total = Math.ceil(text.length / pieceBytes);
  const packed = new Map(foreignLabels(before));
  for (let index = 0; index < total; index++) {
    const piece = text.subarray(index * pieceBytes, (index + 1) * pieceBytes);
    packed.set(`kraken-gitops-${index + 1}-of-${total}`, piece.toString("base64"));
  }
  return packed.size > mostLabels ? undefined : packed;
}

export function foreignLabels(labels: Labels): [string, string][] {
  return [...labels].filter(([name]) => !pieceName.test(name));
}

export function sameLabels(a: Labels, b: Labels): boolean {
  return a.size === b.size && [...a].every(([name, value]) => b.get(name) === value);
}
