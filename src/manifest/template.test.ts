import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalTemplate, escapeTemplate, renderTemplate, templateVariables } from "./template.ts";

const variables = { clusterName: "store-1", tier_name: "web", "backup-policy": "daily" };

describe("renderTemplate", () => {
  it.each([
    ["vm-{{clusterName}}", "vm-store-1"],
    ["vm-{{ clusterName }}", "vm-store-1"],
    ["{{ tier_name }}/{{ backup-policy }}", "web/daily"],
    ['{{ "{{" }} clusterName }}', "{{ clusterName }}"],
    ['a {{ "}}" }} b', "a }} b"],
    ["no template", "no template"],
    ["a { b } c", "a { b } c"],
    ["$HOME ${HOME}", "$HOME ${HOME}"],
  ])("renders %s", (text, expected) => {
    expect(renderTemplate(text, variables, { guestText: false })).toEqual({ text: expected });
  });

  it.each([
    ["{{ nope }} {{ clusterName }} {{ nope }} {{ other }}", ["nope", "other"]],
    ["{{ ds.meta_data.region }}", ["ds.meta_data.region"]],
    ["{{ clusterName | upper }}", ["clusterName | upper"]],
    ["open {{ end", ["end"]],
    ["{{ toString }}", ["toString"]],
    ["{{ __proto__ }}", ["__proto__"]],
  ])("reports what %s does not find", (text, undefinedVariables) => {
    expect(renderTemplate(text, variables, { guestText: false })).toEqual({ undefinedVariables });
  });

  it("leaves the guest what it does not know", () => {
    const guest = "{{ ds.region }} {{ unknown }} ${VAR} {{ clusterName }} {% if x %} {{- .Values.x -}} {{";
    const expected = "{{ ds.region }} {{ unknown }} ${VAR} store-1 {% if x %} {{- .Values.x -}} {{";
    expect(renderTemplate(guest, variables, { guestText: true })).toEqual({ text: expected });
  });

  it("does not look into values again", () => {
    const values = { a: "{{ b }}", b: "x" };
    expect(renderTemplate("{{ a }}", values, { guestText: false })).toEqual({ text: "{{ b }}" });
  });

  it("gives back any text without double braces unchanged", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("a", "{", "}", "$", " ", "\n") }),
        fc.boolean(),
        (raw, guestText) => {
          const text = raw.replaceAll("{{", "{");
          if (!text.includes("{{")) expect(renderTemplate(text, variables, { guestText })).toEqual({ text });
        },
      ),
    );
  });

  it("renders an escaped text to the text itself, whatever it holds", () => {
    const text = fc.string({
      unit: fc.constantFrom("{", "}", '"', " ", "a", "clusterName", "{{ clusterName }}", "\n"),
    });
    fc.assert(
      fc.property(text, fc.boolean(), (original, guestText) => {
        expect(renderTemplate(escapeTemplate(original), variables, { guestText })).toEqual({ text: original });
      }),
    );
  });

  it("renders the same with and without spaces in the braces", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("x", "{{tier_name}}", "{{  tier_name }}", "{{\ttier_name}}")), (parts) => {
        const text = parts.join("-");
        const canonical = canonicalTemplate(text);
        expect(renderTemplate(canonical, variables, { guestText: false })).toEqual(
          renderTemplate(text, variables, { guestText: false }),
        );
        expect(canonicalTemplate(canonical)).toBe(canonical);
      }),
    );
  });

  it("takes linear time on many open braces", () => {
    const text = "{{ ".repeat(200_000);
    expect(renderTemplate(text, variables, { guestText: true })).toEqual({ text });
  });
});

it("lists the variables of a text once each", () => {
  expect(templateVariables("{{ a }} {{b}} {{ a }} {{ c.d }}")).toEqual(["a", "b"]);
});
