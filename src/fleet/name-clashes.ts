import type { Problem } from "../manifest/problem.ts";
import type { DesiredVirdomain, Target } from "./desired-state.ts";

export interface NameClash {
  readonly cluster: string;
  readonly problem: Problem;
}

/** VMs that would share a name on one cluster: a problem for each of the two, naming the other's place. */
export function findNameClashes(targets: readonly Target[]): readonly NameClash[] {
  const clashes: NameClash[] = [];
  const byCluster = new Map<string, Map<string, DesiredVirdomain>>();
  for (const target of targets) {
    let names = byCluster.get(target.cluster);
    if (names === undefined) byCluster.set(target.cluster, (names = new Map()));
    for (const virdomain of target.virdomains) {
      const other = names.get(virdomain.name);
      if (other === undefined) names.set(virdomain.name, virdomain);
      else
        clashes.push(
          { cluster: target.cluster, problem: clash(virdomain, other) },
          { cluster: target.cluster, problem: clash(other, virdomain) },
        );
    }
  }
  return clashes;
}

function clash(virdomain: DesiredVirdomain, other: DesiredVirdomain): Problem {
  const { application } = virdomain.identity;
  const place = `${other.position.file}:${other.position.line}`;
  const message = `the VM "${virdomain.name}" is also a VM of the application "${other.identity.application}" (${place})`;
  const hint = "give one of them another name, for example with {{ clusterName }} or {{ instance_id }}";
  return {
    severity: "error",
    code: "virdomain-name-twice",
    position: virdomain.position,
    path: "name",
    message,
    hint,
    application,
  };
}
