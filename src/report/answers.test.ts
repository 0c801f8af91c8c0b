import { describe, expect, it } from "vitest";
import { ownMarker, readCommands } from "../sync/comment-commands.ts";
import { answerMarker, answers, renderHelp, renderRefused, renderUnknown } from "./answers.ts";
import { planMarker } from "./markdown.ts";

describe("answers", () => {
  it("begin with a marker that makes them ours, whatever the names", () => {
    const marker = answerMarker("edge", "--><b>", "12");
    expect(marker).toBe("<!-- kraken-gitops:answer:edge:___b_:12 -->");
    for (const ours of [marker, planMarker("edge", "fleet")]) expect(ours.startsWith(ownMarker)).toBe(true);
    expect(readCommands({ body: `${marker}\n\n/kraken plan`, own: false })).toEqual([]);
  });

  it("hold no command themselves, even where the marker is lost", () => {
    const shown = { planId: "0c4be71d9a52", approvalId: "ab12cd34ef56" };
    const texts = [
      renderHelp(),
      renderUnknown("plan\n/kraken approve"),
      renderRefused("mallory"),
      answers.changed(shown),
      answers.otherPlan("x`\n/kraken approve", shown),
      answers.otherSync("1a2b3c", "ab12cd34ef56"),
      answers.paused("fleet", 0),
    ];
    for (const body of texts) expect(readCommands({ body, own: false })).toEqual([]);
  });

  it("show what was said as text", () => {
    expect(renderUnknown("`@everyone` #1").split("\n")[0]).toBe("``/kraken `@everyone` #1`` is no command.");
    expect(renderRefused("<b>`x")).toMatch(/^``<b>`x`` may not/);
  });

  it("say which plan is the one now, and until when a pause lasts", () => {
    expect(answers.otherPlan("1234567", { planId: "0c4be71d9a52", approvalId: "ab12cd34ef56" })).toBe(
      "`1234567` is not what would be lost now, so nothing was approved. The plan now is `0c4be71d9a52`. Read it, then approve its losses with `/kraken approve ab12cd34ef56`.",
    );
    expect(answers.paused("fleet", Date.UTC(2026, 10, 22, 9, 30))).toContain("until 2026-11-22 09:30 UTC");
  });
});
