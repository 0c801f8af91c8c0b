import { type DocumentContext, formatPath } from "./document-context.ts";
import { findNearest } from "./nearest.ts";
import { type Path, type TreeLimits, readYaml } from "./yaml-tree.ts";

/** First words cloud-init recognises (cloud-init documentation, "User data formats"), and cloudbase-init's for Windows. */
const headers = [
  "#cloud-config-archive",
  "#cloud-config-jsonp",
  "#cloud-config",
  "#cloud-boothook",
  "#include-once",
  "#include",
  "#part-handler",
  "#upstart-job",
  "#!",
  "## template: jinja",
  "content-type:",
  "mime-version:",
  "#ps1",
  "rem cmd",
  "<script>",
  "<powershell>",
] as const;

/** A variable stands for some text: the YAML around it is what is checked. */
const variable = /\{\{[ \t]*[A-Za-z_][A-Za-z0-9_-]*[ \t]*\}\}/g;

/** How cloud_init_data differs from what cloud-init can read. Texts are looked at as they are, templates included. */
export class CloudInitChecker {
  readonly #limits: TreeLimits;
  /** VMs of one file often share their user data: the same text is read once. */
  readonly #known = new Map<string, YamlVerdict>();

  constructor(limits: TreeLimits) {
    this.#limits = limits;
  }

  checkUserData(context: DocumentContext, path: Path, text: string): void {
    const start = text.trimStart();
    if (start === "" || start.startsWith("{{")) return;
    const header = findHeader(start);
    if (header === undefined) {
      const first = start.split("\n", 1)[0] ?? "";
      const near = findNearest(first, headers) ?? (first.startsWith("#") ? undefined : "#cloud-config");
      const message = `user_data begins with "${first.slice(0, 40)}", which cloud-init does not know`;
      context.report({
        code: "user-data-header",
        path,
        message,
        hint: `begin it with ${near ?? "#cloud-config or #!"}`,
      });
      return;
    }
    // A Jinja template says itself that it is no YAML yet.
    if (header === "#cloud-config" && !start.startsWith("## template:")) {
      this.#checkYaml(context, path, text, "user-data-yaml");
    }
  }

  checkMetaData(context: DocumentContext, path: Path, text: string): void {
    if (text.trim() !== "") this.#checkYaml(context, path, text, "meta-data-yaml");
  }

  #checkYaml(context: DocumentContext, path: Path, text: string, code: "user-data-yaml" | "meta-data-yaml"): void {
    const verdict = this.#known.get(text) ?? judgeYaml(text.replaceAll(variable, "x"), this.#limits);
    this.#known.set(text, verdict);
    if (verdict.fault === undefined) return;
    // With template markers inside, what the guest finally reads is not what stands here: worth a look, not a refusal.
    const severity = /\{\{|\{%|\$\{/.test(text) ? "warning" : "error";
    const where = verdict.line === undefined ? "" : ` (line ${verdict.line} of the text)`;
    const hint = "cloud-init would ignore all of it";
    context.report({
      code,
      path,
      severity,
      message: `${path.at(-1) ?? formatPath(path)} is no valid YAML mapping: ${verdict.fault}${where}`,
      hint,
    });
  }
}

function findHeader(start: string): string | undefined {
  const lower = start.toLowerCase();
  const header = headers.find((known) => lower.startsWith(known));
  if (header !== "## template: jinja") return header;
  const rest = start.slice(start.indexOf("\n") + 1);
  return findHeader(rest.startsWith("##") ? "" : rest) ?? header;
}

interface YamlVerdict {
  readonly fault: string | undefined;
  readonly line: number | undefined;
}

function judgeYaml(text: string, limits: TreeLimits): YamlVerdict {
  const tree = readYaml(text, { ...limits, maxDocuments: 1 });
  const [document] = tree.documents;
  // PyYAML, which cloud-init uses, takes the last of two equal keys and knows more tags than we do.
  const error = tree.errors[0] ?? document?.errors.find(({ code }) => code !== "duplicate-key" && code !== "yaml-tag");
  if (error !== undefined) return { fault: error.message, line: text.slice(0, error.offset).split("\n").length };
  const value = document?.value;
  const mapping = value === undefined || (typeof value === "object" && value !== null && !Array.isArray(value));
  return { fault: mapping ? undefined : "it is a list or plain text", line: undefined };
}
