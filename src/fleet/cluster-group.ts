import type { ClusterGroupDocument, ClusterSelector } from "../manifest/document.ts";
import type { Cluster } from "./cluster.ts";

/** The clusters a selector chooses, in their own order: by name, by pattern (`*` any text, `?` one character), by label. */
export function selectClusters(selector: ClusterSelector, clusters: readonly Cluster[]): readonly Cluster[] {
  if ("label" in selector) {
    const at = selector.label.indexOf("=");
    const [key, value] = [selector.label.slice(0, at), selector.label.slice(at + 1)];
    return clusters.filter(({ labels }) => Object.hasOwn(labels, key) && labels[key] === value);
  }
  if (/[*?]/.test(selector.name)) return clusters.filter(({ name }) => matchesGlob(selector.name, name));
  const named = byName(clusters).get(selector.name);
  return named === undefined ? [] : [named];
}

const indexes = new WeakMap<readonly Cluster[], ReadonlyMap<string, Cluster>>();

/** A list of clusters is never changed, so a thousand groups that name one cluster each do not search it a thousand times. */
function byName(clusters: readonly Cluster[]): ReadonlyMap<string, Cluster> {
  const known = indexes.get(clusters);
  if (known !== undefined) return known;
  const index = new Map(clusters.map((cluster) => [cluster.name, cluster]));
  indexes.set(clusters, index);
  return index;
}

/** A group's clusters, each once, in the order of the configuration; with the selectors that choose nothing. */
export function resolveClusterGroup(
  group: ClusterGroupDocument,
  clusters: readonly Cluster[],
): { readonly clusters: readonly Cluster[]; readonly unmatched: readonly ClusterSelector[] } {
  const chosen = new Set<Cluster>();
  const unmatched: ClusterSelector[] = [];
  for (const selector of group.clusters) {
    const found = selectClusters(selector, clusters);
    if (found.length === 0) unmatched.push(selector);
    for (const cluster of found) chosen.add(cluster);
  }
  const inOrder = chosen.size < 2 ? [...chosen] : clusters.filter((cluster) => chosen.has(cluster));
  return { clusters: inOrder, unmatched };
}

/** Greedy matching with one point of return: linear in practice, never exponential, whatever the pattern. */
export function matchesGlob(pattern: string, text: string): boolean {
  let p = 0;
  let t = 0;
  let star = -1;
  let resume = 0;
  while (t < text.length) {
    if (pattern[p] === "*") [star, resume, p] = [p, t, p + 1];
    else if (p < pattern.length && (pattern[p] === "?" || pattern[p] === text[t])) [p, t] = [p + 1, t + 1];
    else if (star >= 0) [p, t, resume] = [star + 1, resume + 1, resume + 1];
    else return false;
  }
  return /^\**$/.test(pattern.slice(p));
}

/** The selector as people write it. */
export function describeSelector(selector: ClusterSelector): string {
  return "label" in selector ? `label ${selector.label}` : selector.name;
}
