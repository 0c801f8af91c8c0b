import type { Plan } from "../plan/plan.ts";
import { emptySection, type Section } from "./cut.ts";
import { details, fence, htmlCode } from "./escape.ts";
import { plural } from "./format.ts";
import { groupBy } from "./group.ts";
import { htmlClusterList } from "./names.ts";
import { listNotices } from "./summary.ts";

/** Lines of one difference that are shown; a whole new user_data is read better in the files. */
const maxLines = 60;

/** Changed guest text that no operation carries, folded: each text once, with the VMs it is about. Secrets are masked already. */
export function renderGuestText(plan: Plan, budget: number): Section {
  const changed = listNotices(plan).filter((notice) => notice.detail !== undefined);
  if (changed.length === 0) return emptySection;
  const sections: string[] = [];
  let left = budget;
  let omitted = 0;
  for (const group of groupBy(changed, (notice) => `${notice.virdomain}\n${notice.detail ?? ""}`).values()) {
    const [first] = group;
    const lines = (first?.detail ?? "").split("\n");
    const shown =
      lines.length > maxLines
        ? [...lines.slice(0, maxLines), `# … and ${plural(lines.length - maxLines, "more line")}`]
        : lines;
    const clusters = htmlClusterList(group.map((notice) => notice.cluster));
    const section = details(`${htmlCode(first?.virdomain ?? "")} on ${clusters}`, fence("diff", shown));
    if (section.length + 2 > left) omitted += group.length;
    else {
      sections.push(section);
      left -= section.length + 2;
    }
  }
  return { text: sections.join("\n\n"), omitted };
}
