import { describe, expect, it } from "vitest";
import { parseManifest } from "./parse.ts";
import { formatProblem } from "./problem.ts";
import { crossCheck } from "./repository-documents.ts";

const application = (name: string, groups = "[]"): string =>
  `type: Application\nversion: 1\nmetadata: { name: ${name}, clusterGroups: ${groups} }\nspec: { resources: [{ type: virdomain, name: a, spec: { cpu: 1, memory: 1 GiB } }] }\n`;
const group = (name: string): string =>
  `type: ClusterGroup\nversion: 1\nmetadata: { name: ${name} }\nspec: { clusters: [a] }\n`;
const deployment = (name: string, applications: string, groups: string): string =>
  `type: Deployment\nversion: 1\nmetadata: { name: ${name} }\nspec: { applications: ${applications}, clusterGroups: ${groups} }\n`;

const check = (files: Readonly<Record<string, string>>): readonly string[] =>
  crossCheck(Object.entries(files).map(([file, text]) => parseManifest(file, text))).map(
    (problem) => `${problem.code} ${formatProblem(problem)}`,
  );

describe("crossCheck", () => {
  it("has nothing to say about a sound repository", () => {
    expect(
      check({
        "a.yaml": application("shop", "[east]"),
        "g.yaml": group("east"),
        "d.yaml": deployment("d", "[shop]", "[east]"),
      }),
    ).toEqual([]);
  });

  it("names both places of a name used twice", () => {
    expect(check({ "a.yaml": application("shop"), "b.yaml": `---\n${application("shop")}` })).toEqual([
      'duplicate-name b.yaml:2:1 metadata.name: the application "shop" is defined at a.yaml:1 too (rename one of them, or remove it)',
      'duplicate-name a.yaml:1:1 metadata.name: the application "shop" is defined at b.yaml:2 too (rename one of them, or remove it)',
    ]);
  });

  it("lets documents of different types share a name", () => {
    expect(
      check({ "a.yaml": application("x"), "g.yaml": group("x"), "d.yaml": deployment("x", "[x]", "[x]") }),
    ).toEqual([]);
  });

  it("suggests the nearest name", () => {
    expect(
      check({
        "a.yaml": application("shop", "[eest]"),
        "g.yaml": group("east"),
        "d.yaml": deployment("d", "[shp]", "[east]"),
      }),
    ).toEqual([
      'unknown-cluster-group a.yaml:1:1 metadata.clusterGroups[0]: no cluster group is named "eest" (did you mean "east"?)',
      'unknown-application d.yaml:1:1 spec.applications[0]: no application is named "shp" (did you mean "shop"?)',
    ]);
  });

  it("counts the names of broken documents as known", () => {
    const broken = {
      "a.yaml": application("shop").replace("cpu: 1", "cpu: x"),
      "g.yaml": group("east").replace("[a]", "5"),
    };
    expect(check({ ...broken, "d.yaml": deployment("d", "[shop]", "[east]") })).toEqual([]);
  });

  it("is linear: 20,000 applications take no longer than a moment", () => {
    const one = parseManifest("a.yaml", application("shop", "[east]"));
    const files = Array.from({ length: 20_000 }, (_, index) => {
      const documents = one.documents.map((document) => ({ ...document, name: `app-${index}` }));
      return { ...one, documents, applicationNames: [`app-${index}`] };
    });
    const started = performance.now();
    expect(crossCheck([...files, parseManifest("g.yaml", group("east"))])).toEqual([]);
    expect(performance.now() - started).toBeLessThan(2000);
  });
});
