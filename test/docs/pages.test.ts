import { readdirSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { formatConfigProblem, parseConfig } from "../../src/config/load.ts";
import { parseManifest } from "../../src/manifest/parse.ts";
import { formatProblem } from "../../src/manifest/problem.ts";
import packageJson from "../../package.json" with { type: "json" };
import { refusal } from "./cli-program.ts";
import { anchorOf, codeBlocks, exists, headings, inlineCode, prose, readPage, readPages, root } from "./pages.ts";

const pages = readPages();
const files = new Set(
  ["src", "test", "bin", "config", "docs"].flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" }).map((name) => `${folder}/${name}`),
  ),
);
const baseNames = new Set([...files].map((file) => path.basename(file)));

describe.each(pages)("$file", ({ file, text }) => {
  it("links to pages and headings that exist", () => {
    const targets = [...prose(text).matchAll(/\]\((?!https?:|mailto:)([^)\s]+)\)/g)].map(([, target = ""]) => target);
    expect(targets.filter((target) => !resolves(file, target))).toEqual([]);
  });
  it("mentions no file that does not exist", () => {
    expect(inlineCode(text).filter((code) => isFileOfOurs(code) && !isThere(code))).toEqual([]);
  });
  it("names only npm scripts that exist", () => {
    const scripts = [...text.matchAll(/npm run (?:--silent )?([\w:-]+)/g)].map(([, script = ""]) => script);
    expect(scripts.filter((script) => !(script in packageJson.scripts))).toEqual([]);
  });
  it("shows only command lines that the program takes", async () => {
    const refused: string[] = [];
    for (const line of commandLines(text)) {
      const reason = await refusal(argumentsOf(line));
      if (reason !== undefined) refused.push(`${line}: ${reason}`);
    }
    expect(refused).toEqual([]);
  });
  it("shows only configurations that can be used", () => {
    const yaml = codeBlocks(text).filter(({ language }) => language === "yaml");
    const whole = yaml.filter(({ text: block }) => /^repositories:/m.test(block) && /^clusters:/m.test(block));
    for (const block of whole) {
      const loaded = parseConfig(block.text, path.join(root, file), {});
      expect("problems" in loaded ? loaded.problems.map(formatConfigProblem) : []).toEqual([]);
    }
  });
  it("shows only manifests without problems", () => {
    const yaml = codeBlocks(text).filter(({ language }) => language === "yaml");
    for (const block of yaml.filter((candidate) => /^type: /m.test(candidate.text))) {
      const { problems } = parseManifest(file, new TextEncoder().encode(block.text), { allowHttp: false });
      expect(problems.filter(({ severity }) => severity === "error").map(formatProblem)).toEqual([]);
    }
  });
});

describe("README.md", () => {
  const readme = readPage("README.md").text;
  it("shows a plan comment as the code writes it", () => {
    const excerpt = /<!-- plan comment[^\n]*-->\n(.*?)<!-- end of the plan comment -->/s.exec(readme)?.[1] ?? "";
    const lines = excerpt.split("\n").filter((line) => line !== "");
    const rendered = new Set(readPage("docs/plan-comment.md").text.split("\n"));
    expect(lines.length).toBeGreaterThan(8);
    expect(lines.filter((line) => !rendered.has(line))).toEqual([]);
  });
  it("leads to every page of docs/", () => {
    const missing = pages.filter(({ file }) => file !== "README.md" && !readme.includes(`](${file})`));
    expect(missing.map(({ file }) => file)).toEqual([]);
  });
  it("keeps the configuration to read at a glance", () => {
    const block = codeBlocks(readme).find(({ language }) => language === "yaml");
    expect(block?.text.trim().split("\n").length).toBeLessThanOrEqual(16);
  });
});

function resolves(from: string, target: string): boolean {
  const [name = "", anchor] = target.split("#");
  const file = name === "" ? from : path.posix.join(path.posix.dirname(from), name);
  if (!exists(file)) return false;
  return anchor === undefined || headings(readPage(file).text).map(anchorOf).includes(anchor);
}

const folders = "src|test|docs|config|bin|\\.ci";
const rows = "lib|manifest|fleet|plan|report|sync|ports|adapters|app|cli|simulator";

/** Paths below our folders, and bare names of TypeScript files; not patterns, placeholders and folders of users. */
function isFileOfOurs(code: string): boolean {
  if (/[<>*{}\s]/.test(code)) return false;
  return new RegExp(`^(${folders})/[\\w./-]+$`).test(code) || /^[\w./-]+\.ts$/.test(code);
}

function isThere(code: string): boolean {
  if (exists(code)) return true;
  if (new RegExp(`^(${rows})/`).test(code)) return exists(`src/${code}`);
  return !code.includes("/") && baseNames.has(code);
}

/** Our program's command lines in shell blocks and between back-ticks. */
function commandLines(text: string): readonly string[] {
  const shell = codeBlocks(text)
    .filter(({ language }) => ["sh", "ini", ""].includes(language))
    .flatMap((block) => block.text.replaceAll("\\\n", " ").split("\n"))
    .flatMap((line) => line.replaceAll(/\$\([^)]*\)/g, "1a2b3c4").split(/\|\|?|&&|;| #/));
  const called = shell.flatMap((part) => /^(?:.*\s)?(?<!--name )kraken-gitops ([a-z-].*)$/.exec(part)?.[1] ?? []);
  const inline = inlineCode(text).flatMap((code) => /^kraken-gitops ([a-z-].*)$/.exec(code)?.[1] ?? []);
  return [...called, ...inline].filter((line) => !line.includes("<"));
}

function argumentsOf(line: string): readonly string[] {
  return [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([whole, double, single]) => double ?? single ?? whole);
}
