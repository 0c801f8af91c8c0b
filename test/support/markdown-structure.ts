/** Tags the comment writes itself; anything else outside code would come from a manifest. */
const ownTags = /<\/?(?:details|summary|code|sub)>/g;

/**
 * What is wrong with a comment's structure: unclosed fences or details, HTML that is not ours, mentions and issue
 * references outside code, characters that change reading direction. An empty list means it holds together.
 */
export function checkMarkdown(markdown: string): readonly string[] {
  const lines = markdown.split("\n");
  const findings: string[] = [];
  let fence: string | undefined;
  let open = 0;
  if (!/^<!-- kraken-gitops:plan:[^<>]* -->$/.test(lines[0] ?? "")) findings.push("the first line is not the marker");
  for (const line of lines.slice(1)) {
    if (/[\p{Cc}\p{Bidi_Control}]/u.test(line)) findings.push(`unsafe character: ${line}`);
    const ticks = /^`{3,}/.exec(line)?.[0];
    if (fence !== undefined) {
      if (ticks !== undefined && ticks.length >= fence.length && /^`+\s*$/.test(line)) fence = undefined;
      continue;
    }
    if (ticks !== undefined) {
      fence = ticks;
      continue;
    }
    const text = withoutCode(line);
    open += count(text, "<details>") - count(text, "</details>");
    if (open < 0) findings.push(`details closed twice: ${line}`);
    const foreign = text.replaceAll(ownTags, "");
    if (foreign.includes("<")) findings.push(`foreign HTML: ${line}`);
    if (/(?:^|[^&\w/])[@#]\w/.test(withoutLinks(foreign))) findings.push(`mention or reference: ${line}`);
    if (line.startsWith("|") && !line.endsWith("|")) findings.push(`broken table row: ${line}`);
  }
  if (fence !== undefined) findings.push("a fence stays open");
  if (open !== 0) findings.push(`${open} details stay open`);
  return findings;
}

/** Every row of every table must have as many cells as its head. */
export function tableWidths(markdown: string): readonly number[] {
  return markdown
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .map((line) => withoutCode(line).replaceAll(String.raw`\|`, "").split("|").length - 2);
}

/** Code spans taken out the way CommonMark reads them: a run of back-ticks closes with a run of the same length. */
function withoutCode(line: string): string {
  return line.replaceAll(/(?<!`|\\)(`+)(?!`)(.*?)(?<!`)\1(?!`)/g, "").replaceAll(/<code>[^<>]*<\/code>/g, "");
}

function withoutLinks(text: string): string {
  return text.replaceAll(/\]\(https?:[^()\s]*\)/g, "]");
}

function count(text: string, part: string): number {
  return text.split(part).length - 1;
}
