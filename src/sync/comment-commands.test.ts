import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Command, readCommands } from "./comment-commands.ts";

const read = (body: string, own = false): readonly Command[] => readCommands({ body, own });
const plan: Command = { kind: "plan" };
const hour = 3_600_000;

describe("commands", () => {
  it.each<[string, Command]>([
    ["/kraken plan", plan],
    ["/KRAKEN Plan  ", plan],
    ["/kraken\tplan", plan],
    ["/kraken", { kind: "help" }],
    ["/kraken help", { kind: "help" }],
    ["/kraken resume", { kind: "resume" }],
    ["/kraken approve", { kind: "approve", id: undefined }],
    ["/kraken approve AB12CD34EF56", { kind: "approve", id: "ab12cd34ef56" }],
    ["/kraken approve `ab12cd34ef56`", { kind: "approve", id: "ab12cd34ef56" }],
    ["/kraken pause", { kind: "pause", forMs: undefined, reason: "" }],
    ["/kraken pause for 2h", { kind: "pause", forMs: 2 * hour, reason: "" }],
    ["/kraken pause for 1h30m moving racks", { kind: "pause", forMs: 1.5 * hour, reason: "moving racks" }],
    ["/kraken pause for the weekend", { kind: "pause", forMs: undefined, reason: "for the weekend" }],
    ["/kraken pause for 2hours", { kind: "unknown", text: "pause for 2hours" }],
    ["/kraken pause for 0m", { kind: "unknown", text: "pause for 0m" }],
    ["/kraken approve of this, please", { kind: "unknown", text: "approve of this, please" }],
    ["/kraken plan is what you say", { kind: "unknown", text: "plan is what you say" }],
    ["/kraken aprove", { kind: "unknown", text: "aprove" }],
  ])("reads %j", (body, command) => {
    expect(read(body)).toEqual([command]);
  });

  it("takes several in their order, each once, beside other words", () => {
    const body = "Looks good.\n/kraken plan\r\n\r\n- done\n/kraken approve\n/kraken plan";
    expect(read(body)).toEqual([plan, { kind: "approve", id: undefined }]);
  });

  it("does not go through a comment that is nothing but commands", () => {
    const body = Array.from({ length: 500 }, (_none, index) => `/kraken approve ${index}`).join("\n");
    expect(read(body)).toHaveLength(10);
  });

  it("never listens to ourselves", () => {
    expect(read("/kraken plan", true)).toEqual([]);
    expect(read("<!-- kraken-gitops:plan:edge:fleet -->\n\n/kraken plan")).toEqual([]);
  });
});

describe("what is not said", () => {
  it.each([
    ["in the middle of a line", "please /kraken plan"],
    ["longer words", "/krakenplan"],
    ["a path", "/kraken/plan"],
    ["indented", " /kraken plan"],
    ["indented code", "    /kraken plan"],
    ["indented by a tab", "\t/kraken plan"],
    ["a quote", "> /kraken plan"],
    ["a quote that goes on without its sign", "> look:\n/kraken plan"],
    ["a quote in a list", "- > look\n/kraken plan"],
    ["a fence", "```\n/kraken plan\n```"],
    ["a fence with a language", "```sh\n/kraken plan\n```"],
    ["a fence of tildes", "~~~\n/kraken plan\n~~~"],
    ["a fence that is never closed", "```\nx\n\n/kraken plan"],
    ["a shorter fence inside", "````\n```\n/kraken plan\n````"],
    ["another fence inside", "```\n~~~\n/kraken plan\n```"],
    ["a closing fence with words", "```\n``` x\n/kraken plan\n```"],
    ["a quoted fence inside", "```\n> ```\n/kraken plan\n```"],
    ["an indented fence", "  ```\n/kraken plan\n  ```"],
    ["a fence in a list, begun beside the mark", "- ```\n  x\n  ```\n\n```\n/kraken plan\n```"],
    ["a fence that ends with its list", "- ```\n```\n/kraken plan\n```"],
    ["a fence that may or may not end with its list", "1. a\n   ```\n   x\nb\n   ```\n/kraken plan"],
    ["a closing fence left of its list", "1. ```\n   x\n  ```\n/kraken plan"],
    ["a hidden comment", "<!--\n/kraken plan\n-->"],
    ["a hidden comment with a blank line", "<!-- x\n\n/kraken plan\n\n-->"],
    ["a hidden comment behind another", "<!-- a --> <!-- b\n/kraken plan\n-->"],
    ["a hidden comment in a line", "see <!-- this\n/kraken plan\n-->"],
    ["a comment cut off by a fence", "see <!--\n```\n-->\n/kraken plan\n```"],
    ["a comment that never ends", "<!--\n\n/kraken plan"],
    ["folded text", "<details>\n\n/kraken plan\n\n</details>"],
    ["folded text with a summary", "<details><summary>x</summary>\n\n/kraken plan\n\n</details>"],
    ["folded in folded text", "<details>\n<details>\n</details>\n\n/kraken plan\n\n</details>"],
    ["folded text that shows its own end", "<DETAILS>\nsee `</details>`\n\n/kraken plan\n\n</DETAILS>"],
    ["a quote in HTML", "<blockquote>\n\n/kraken plan\n\n</blockquote>"],
    ["preformatted HTML", "<pre>\n/kraken plan\n</pre>"],
    ["code over lines", "say `this\n/kraken plan\nor not`"],
  ])("leaves out %s", (_what, body) => {
    expect(read(body)).toEqual([]);
  });

  it.each([
    ["a quote", "> /kraken approve\n\n/kraken plan"],
    ["a fence", "```\n/kraken approve\n```\n/kraken plan"],
    ["a longer closing fence", "```\n/kraken approve\n`````\n/kraken plan"],
    ["a fence in a list", "1. see\n   ```\n   /kraken approve\n   ```\n\n/kraken plan"],
    ["a hidden comment", "<!-- /kraken approve -->\n/kraken plan"],
    ["folded text", "<details>\n/kraken approve\n</details>\n\n/kraken plan"],
    ["code in a line", "say `/kraken approve` or\n/kraken plan"],
    ["back-ticks that are none of code", "a \\` sign\n/kraken plan"],
  ])("reads on after %s", (_what, body) => {
    expect(read(body)).toEqual([plan]);
  });
});

describe("quoting", () => {
  const line = fc.oneof(
    fc.constantFrom(
      "/kraken plan",
      "/kraken approve",
      "  /kraken resume",
      "",
      "```",
      "~~~~",
      "> x",
      "<!-- a",
      "- ```",
      "</details>",
    ),
    fc.string({ maxLength: 20 }).map((text) => text.replaceAll(/[\r\n]/g, "")),
  );
  const text = fc.array(line, { maxLength: 12 });
  const longest = (lines: readonly string[], run: RegExp): number =>
    Math.max(2, ...lines.flatMap((one) => one.match(run) ?? []).map((found) => found.length));
  const quotes: readonly ((lines: readonly string[]) => string)[] = [
    (lines) => lines.map((one) => `> ${one}`).join("\n"),
    (lines) => lines.map((one) => `    ${one}`).join("\n"),
    (lines) => ["`".repeat(longest(lines, /`+/g) + 1), ...lines, "`".repeat(longest(lines, /`+/g) + 1)].join("\n"),
    (lines) => ["~".repeat(longest(lines, /~+/g) + 1), ...lines, "~".repeat(longest(lines, /~+/g) + 1)].join("\n"),
    (lines) => ["<!--", ...lines.map((one) => one.replaceAll("-->", "")), "-->"].join("\n"),
    (lines) => ["<details>", "", ...lines.map((one) => one.replaceAll(/<\/\w+/g, "")), "", "</details>"].join("\n"),
  ];

  it("never makes a command of quoted text, whatever it is and whatever stands around", () => {
    fc.assert(
      fc.property(
        text,
        fc.constantFrom(...quotes),
        fc.constantFrom("", "Look:\n\n", "- a\n\n"),
        (lines, quoted, before) => {
          expect(read(`${before}${quoted(lines)}\n\nThanks!`)).toEqual([]);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it("hears a command before a quote", () => {
    fc.assert(
      fc.property(text, fc.constantFrom(...quotes), (lines, quoted) => {
        expect(read(`/kraken plan\n\n${quoted(lines)}`)).toEqual([plan]);
      }),
    );
  });
});
