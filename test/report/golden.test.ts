import { readFile, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { renderDeployLog } from "../../src/report/deploy-log.ts";
import { renderPlanComment } from "../../src/report/markdown.ts";
import { renderPlanText } from "../../src/report/terminal.ts";
import { checkMarkdown } from "../support/markdown-structure.ts";
import { commentInput, deployLogs, type Example, examples } from "./examples.ts";

/** `UPDATE_GOLDEN=1 npx vitest run test/report` writes what the reports say now; review the difference like code. */
const refresh = process.env["UPDATE_GOLDEN"] === "1";
const docsPage = new URL("../../docs/plan-comment.md", import.meta.url);
const begin = "<!-- examples: written by test/report/golden.test.ts -->";
const end = "<!-- /examples -->";

function golden(name: string): URL {
  return new URL(`../fixtures/reports/${name}`, import.meta.url);
}

async function expectGolden(place: URL, text: string): Promise<void> {
  if (refresh) await writeFile(place, text);
  const stored = await readFile(place, "utf8").catch(() => "");
  expect(text, "stale: run UPDATE_GOLDEN=1 npx vitest run test/report and review the difference").toBe(stored);
}

function comment(example: Example): string {
  return renderPlanComment(commentInput(example.plan, example.extras));
}

describe.each(examples)("the example $name", (example) => {
  it("renders to the comment on file, which is well-formed", async () => {
    expect(checkMarkdown(comment(example))).toEqual([]);
    await expectGolden(golden(`${example.name}.md`), `${comment(example)}\n`);
  });

  it("renders to the terminal text on file", async () => {
    await expectGolden(golden(`${example.name}.txt`), `${renderPlanText(example.plan, { colour: false })}\n`);
  });
});

describe.each(deployLogs)("the example $name", ({ name, input }) => {
  it("renders to the comment on file, which is well-formed", async () => {
    expect(checkMarkdown(renderDeployLog(input))).toEqual([]);
    await expectGolden(golden(`${name}.md`), `${renderDeployLog(input)}\n`);
  });

  it("stays within its limit whatever the size", () => {
    const clusters = Array.from({ length: 500 }, (_, index) => ({
      cluster: `store-${index}`,
      state: "failed" as const,
      done: index,
      total: 500,
      detail: "<details> @everyone #1 ``` | ".repeat(10),
    }));
    const operations = clusters.map(({ cluster, detail }) => ({
      kind: "update",
      cluster,
      virdomain: "web",
      outcome: "failed",
      message: detail,
    }));
    const text = renderDeployLog({ ...input, clusters, operations, limitChars: 20_000 });
    expect(text.length).toBeLessThanOrEqual(20_000);
    expect(checkMarkdown(text)).toEqual([]);
  });
});

describe("docs/plan-comment.md", () => {
  it("shows the examples as they are rendered now", async () => {
    const page = await readFile(docsPage, "utf8");
    const [before = "", rest = ""] = page.split(begin);
    const after = rest.split(end)[1] ?? "";
    const sections = examples.map((example) => `## ${example.title}\n\n${example.about}\n\n${comment(example)}`);
    const logs = deployLogs.map(({ title, about, input }) => `## ${title}\n\n${about}\n\n${renderDeployLog(input)}`);
    await expectGolden(docsPage, [before + begin, ...sections, ...logs, end + after].join("\n\n"));
  });
});
