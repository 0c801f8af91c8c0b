import { type Alias, type Node, type Pair, type YAMLMap, isAlias, isMap, isScalar, isSeq } from "yaml";

export interface YamlError {
  readonly code:
    | "yaml-syntax"
    | "yaml-tab"
    | "yaml-tag"
    | "duplicate-key"
    | "too-many-documents"
    | "too-deep"
    | "too-many-values";
  readonly message: string;
  readonly offset: number;
}

export type Path = readonly (string | number)[];

/** Offset where a node begins, when it stands in the text at all. */
export function startOf(node: unknown): number | undefined {
  return typeof node === "object" && node !== null && "range" in node
    ? (node.range as readonly number[] | null | undefined)?.[0]
    : undefined;
}

/** Turns the nodes of one document into plain data, counting what aliases expand to, and finds places again by path. */
export class YamlValues {
  readonly #errors: YamlError[];
  readonly #maxValues: number;
  readonly #anchors = new Map<string, { readonly node: Node; value: unknown; size: number | undefined }>();
  readonly #targets = new Map<Alias, Node>();
  #values = 0;

  constructor(errors: YamlError[], maxValues: number) {
    this.#errors = errors;
    this.#maxValues = maxValues;
  }

  convert(node: unknown): unknown {
    if (isAlias(node)) return this.#alias(node);
    const before = this.#values;
    this.#values += 1;
    const anchor = isScalar(node) || isMap(node) || isSeq(node) ? node.anchor : undefined;
    const entry =
      anchor === undefined
        ? undefined
        : { node: node as Node, value: undefined as unknown, size: undefined as number | undefined };
    if (anchor !== undefined && entry !== undefined) this.#anchors.set(anchor, entry);
    const value = this.#plain(node);
    if (entry !== undefined) [entry.value, entry.size] = [value, this.#values - before];
    return value;
  }

  #plain(node: unknown): unknown {
    if (isScalar(node)) return node.value;
    if (isSeq(node)) return node.items.map((item) => this.convert(item));
    return isMap(node) ? this.#mapping(node) : undefined;
  }

  #alias(alias: Alias): unknown {
    const entry = this.#anchors.get(alias.source);
    if (entry === undefined)
      return this.#fail("yaml-syntax", `no anchor &${alias.source} stands before this alias`, alias);
    if (entry.size === undefined)
      return this.#fail("too-many-values", `the alias *${alias.source} stands inside its own anchor`, alias);
    this.#targets.set(alias, entry.node);
    if (!this.#spend(entry.size, alias)) return undefined;
    return entry.value;
  }

  /** False, with one error, once the document has expanded to more values than the limit. */
  #spend(count: number, node: unknown): boolean {
    const within = this.#values <= this.#maxValues;
    this.#values += count;
    if (this.#values <= this.#maxValues) return true;
    if (within) this.#fail("too-many-values", `aliases expand to more than ${this.#maxValues} values`, node);
    return false;
  }

  #mapping(map: YAMLMap): Record<string, unknown> {
    const result: Record<string, unknown> = {};
    const merges: unknown[] = [];
    const seen = new Set<string>();
    for (const pair of map.items) {
      const key = this.#key(pair);
      if (key === undefined) continue;
      const value = pair.value === null ? null : this.convert(pair.value);
      if (isMergeKey(pair.key)) {
        merges.push(...[value].flat());
        continue;
      }
      if (seen.has(key)) this.#fail("duplicate-key", `the key "${key.slice(0, 80)}" stands twice`, pair.key);
      seen.add(key);
      define(result, key, value);
    }
    for (const source of merges) this.#merge(result, source, map);
    return result;
  }

  #key(pair: Pair): string | undefined {
    const key = isAlias(pair.key) ? this.#alias(pair.key) : isScalar(pair.key) ? (pair.key.value ?? "") : undefined;
    if (typeof key === "string" || typeof key === "number" || typeof key === "boolean") return String(key);
    this.#fail("yaml-syntax", "a key must be plain text", pair.key);
    return undefined;
  }

  /** YAML 1.1 merge keys: own keys win, then earlier sources. */
  #merge(result: Record<string, unknown>, source: unknown, map: YAMLMap): void {
    if (typeof source !== "object" || source === null || Array.isArray(source)) {
      this.#fail("yaml-syntax", "a merge key (<<) takes a mapping, or a list of mappings", map);
      return;
    }
    const entries = Object.entries(source);
    if (!this.#spend(entries.length, map)) return;
    for (const [key, value] of entries) if (!Object.hasOwn(result, key)) define(result, key, value);
  }

  #fail(code: YamlError["code"], message: string, node: unknown): undefined {
    this.#errors.push({ code, message, offset: startOf(node) ?? 0 });
    return undefined;
  }

  offsetOf(root: Node | null, path: Path, key: boolean): number {
    let node: unknown = root;
    let offset = startOf(root) ?? 0;
    for (const [index, step] of path.entries()) {
      const found = this.#child(node, step);
      if (found === undefined) break;
      node = found.value;
      const place = key && index === path.length - 1 ? found.key : (found.value ?? found.key);
      offset = startOf(place) ?? offset;
    }
    return offset;
  }

  #child(parent: unknown, step: string | number): { readonly key: unknown; readonly value: unknown } | undefined {
    const node = isAlias(parent) ? this.#targets.get(parent) : parent;
    if (isSeq(node)) return { key: node.items[Number(step)], value: node.items[Number(step)] };
    if (!isMap(node)) return undefined;
    const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === step);
    return pair ?? this.#mergedChild(node, step);
  }

  #mergedChild(map: YAMLMap, step: string | number): { readonly key: unknown; readonly value: unknown } | undefined {
    for (const { key, value } of map.items) {
      if (!isMergeKey(key)) continue;
      for (const source of isSeq(value) ? value.items : [value]) {
        const found = this.#child(source, step);
        if (found !== undefined) return found;
      }
    }
    return undefined;
  }
}

function isMergeKey(key: unknown): boolean {
  return isScalar(key) && key.value === "<<" && key.type === "PLAIN";
}

/** Always an own property, whatever the key (`__proto__` too). */
function define(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key === "__proto__")
    Object.defineProperty(target, key, { value, enumerable: true, writable: true, configurable: true });
  else target[key] = value;
}
