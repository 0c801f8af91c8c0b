import { describe, expect, it } from "vitest";
import { defaultLimits, parseManifest } from "./parse.ts";
import { readYaml } from "./yaml-tree.ts";

const big = 1_000_000;
const lines = (count: number, line: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => line(index)).join("\n");

/** Nine references to the nine before, ten levels up: 9^10 values if anybody expanded them. */
function laughs(): string {
  const names = "abcdefghijk".split("");
  const levels = names
    .slice(1)
    .map((name, index) => `${name}: &${name} [${Array.from({ length: 9 }, () => `*${names[index]}`).join(", ")}]`);
  return ["a: &a [x, x, x, x, x, x, x, x, x]", ...levels].join("\n");
}

const merges = `a: &a\n${lines(2000, (index) => `  k${index}: 1`)}\nb:\n${lines(2000, () => "  - <<: *a")}`;

/** Every disk names an asset that is nearly there. */
function manyReferences(count: number): string {
  const assets = lines(count, (index) => `  - { name: asset-${index}, type: virtual_disk, url: "https://e.com" }`);
  const disks = lines(count, (index) => `      - { name: d${index}, source: asset_${index}x }`);
  return `type: Application\nversion: 1\nmetadata: { name: a }\nspec:\n  assets:\n${assets}\n  resources:\n  - type: virdomain\n    name: a\n    spec:\n      cpu: 1\n      memory: 1 GiB\n      storage_devices:\n${disks}\n`;
}

describe("hostile files", () => {
  it.each([
    ["50 MB of text", "x".repeat(50_000_000), "file-too-large"],
    ["50 MB of zero bytes", new Uint8Array(50_000_000), "file-too-large"],
    ["a binary file", Uint8Array.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0]), "file-not-text"],
    ["a NUL inside", "type: Application\0", "file-not-text"],
    ["an escape character", "type: \u001b[31mApplication", "file-not-text"],
    ["UTF-16", Buffer.from("type: Application", "utf16le"), "file-not-utf8"],
    ["broken UTF-8", Uint8Array.from([0x61, 0xff, 0x62]), "file-not-utf8"],
    ["100k open brackets", "[".repeat(100_000), "too-deep"],
    ["100k open braces over lines", "{a:\n".repeat(100_000), "too-deep"],
    ["100k sequence marks", "- ".repeat(100_000), "too-deep"],
    ["100k question marks", "? ".repeat(100_000), "too-deep"],
    ["indentation a thousand deep", lines(1400, (index) => `${" ".repeat(index)}a:`), "too-deep"],
    [
      "deep nesting inside a document that begins well",
      `type: Application\nspec:\n  x: ${"[".repeat(50_000)}`,
      "too-deep",
    ],
    ["billion laughs", laughs(), "too-many-values"],
    ["an alias inside its anchor", "a: &a [*a]", "too-many-values"],
    ["merge keys that multiply", merges, "too-many-values"],
    ["a million tokens", "a,".repeat(big / 2), undefined],
    ["a list of half a million", `[${"a,".repeat(500_000)}]`, "too-many-values"],
    ["100k equal keys", "a: 1\n".repeat(100_000), "too-many-values"],
    ["30k equal keys", "a: 1\n".repeat(30_000), "duplicate-key"],
    ["quotes and nothing else", '"'.repeat(big), "too-many-values"],
    ["a quote that never ends", `a: "${"x".repeat(big)}`, "yaml-syntax"],
    ["100k documents", "---\na\n".repeat(100_000), "too-many-documents"],
    ["directives", "%a\n".repeat(60_000), undefined],
    ["a tag of a million characters", "!".repeat(big), "yaml-tag"],
    ["code in a tag", "a: !!js/function 'process.exit(1)'\nb: !!python/object/apply:os.system [id]", "yaml-tag"],
    ["a broken list of a million brackets", `type: Deployment\nspec:\n  applications: ${"[".repeat(big)}`, "too-deep"],
    ["thousands of references to nothing", manyReferences(2500), "unknown-asset"],
    ["spaces", " ".repeat(big), undefined],
    ["a plain text of a million characters", "a ".repeat(big / 2), "unknown-type"],
    ["unknown keys", `type: Application\n${lines(30_000, (index) => `key${index}: 1`)}`, "unknown-key"],
  ])("%s: a clear answer in bounded time", (_title, bytes, code) => {
    const started = performance.now();
    const file = parseManifest("x.yaml", bytes);
    expect(performance.now() - started).toBeLessThan(10_000);
    if (code !== undefined) expect(file.problems.map((problem) => problem.code)).toContain(code);
    expect(file.problems.length).toBeLessThanOrEqual(defaultLimits.maxProblems + 1);
    expect(Math.max(0, ...file.problems.map(({ message }) => message.length))).toBeLessThan(400);
    expect(file.documents).toEqual([]);
  });

  it("bounds the YAML inside cloud-init too", () => {
    const userData = `      cloud_init_data:\n        user_data: |\n          #cloud-config\n          a: ${"[".repeat(100_000)}\n`;
    const text = `type: Application\nversion: 1\nmetadata: { name: a }\nspec:\n  resources:\n  - type: virdomain\n    name: a\n    spec:\n      cpu: 1\n      memory: 1 GiB\n${userData}`;
    expect(parseManifest("x.yaml", text).problems).toMatchObject([
      { code: "user-data-yaml", message: expect.stringContaining("nested") },
    ]);
  });

  it("never touches the prototype of anything", () => {
    const text =
      "__proto__: { polluted: 1 }\nconstructor: { prototype: { polluted: 2 } }\na: &a { __proto__: { polluted: 3 } }\nb: { <<: *a }\n";
    const [document] = readYaml(text, defaultLimits).documents;
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
    expect(Object.keys(document?.value as object)).toEqual(["__proto__", "constructor", "a", "b"]);
    parseManifest(
      "x.yaml",
      `type: Deployment\nversion: 1\nmetadata: { name: d }\nspec: { applications: [a], clusterGroups: [b], variables: { __proto__: x }, instances: { __proto__: 3 } }`,
    );
    expect(({} as Record<string, unknown>)["x"]).toBeUndefined();
  });

  it("obeys limits that are set", () => {
    const text = "---\na: 1\n---\nb: 1\n";
    expect(parseManifest("x.yaml", text, { limits: { maxDocuments: 1 } }).problems[0]?.code).toBe("too-many-documents");
    expect(parseManifest("x.yaml", text, { limits: { maxFileBytes: 10 } }).problems[0]?.code).toBe("file-too-large");
    expect(
      parseManifest("x.yaml", "type: Application\na: 1\nb: 2\nc: 3", { limits: { maxProblems: 2 } }).problems.at(-1)
        ?.code,
    ).toBe("too-many-problems");
  });
});

describe("readYaml", () => {
  it("finds places through aliases and merge keys", () => {
    const text = "base: &base\n  cpu: 1\nvm:\n  <<: *base\n  tags: [x]\nalias: *base\n";
    const [document] = readYaml(text, defaultLimits).documents;
    const lineOf = (offset: number | undefined): number => text.slice(0, offset).split("\n").length;
    expect(document?.value).toEqual({ base: { cpu: 1 }, vm: { tags: ["x"], cpu: 1 }, alias: { cpu: 1 } });
    expect(lineOf(document?.offsetOf(["vm", "cpu"]))).toBe(2);
    expect(lineOf(document?.offsetOf(["alias", "cpu"]))).toBe(2);
    expect(lineOf(document?.offsetOf(["vm", "tags", 0]))).toBe(5);
    expect(lineOf(document?.offsetOfKey(["vm", "tags"]))).toBe(5);
    expect(lineOf(document?.offsetOf(["vm", "missing", "deep"]))).toBe(4);
  });

  it("lets own keys win over merged ones, and earlier sources over later", () => {
    const text = "a: &a { x: 1, y: 1 }\nb: &b { y: 2, z: 2 }\nc: { y: 3, <<: [*a, *b] }\nd: { <<: [*a, *b] }";
    expect(readYaml(text, defaultLimits).documents[0]?.value).toMatchObject({
      c: { x: 1, y: 3, z: 2 },
      d: { x: 1, y: 1, z: 2 },
    });
  });

  it("reads YAML 1.2: no is a word, octals need 0o", () => {
    expect(readYaml("a: no\nb: 010\nc: 0o10\nd: 1_000\ne: 12:30", defaultLimits).documents[0]?.value).toEqual({
      a: "no",
      b: 10,
      c: 8,
      d: "1_000",
      e: "12:30",
    });
  });
});
