import { assetFormats, lifecycles } from "./application-schema.ts";
import { findUrlFault, formatOfUrl } from "./asset-url.ts";
import type { CloudInitChecker } from "./check-cloud-init.ts";
import type { ApplicationDocument, AssetTemplate } from "./document.ts";
import { type DocumentContext, asList, asRecord, asText, asWord } from "./document-context.ts";
import { parseVirdomain } from "./parse-virdomain.ts";
import { holdsTemplate } from "./template.ts";
import type { Path } from "./yaml-tree.ts";

export interface ApplicationOptions {
  readonly allowHttp: boolean;
  readonly cloudInit: CloudInitChecker;
}

/** An Application document, normalised. What is wrong with it is reported; the result counts only when nothing is. */
export function parseApplication(
  context: DocumentContext,
  value: unknown,
  options: ApplicationOptions,
): ApplicationDocument {
  const root = asRecord(value);
  const metadata = asRecord(root["metadata"]);
  const spec = asRecord(root["spec"]);
  const name = context.name(["metadata", "name"], metadata["name"], { forbidden: "/" });
  const assets = asList(spec["assets"]).map((asset, index) =>
    parseAsset(context, ["spec", "assets", index], asset, options),
  );
  context.unique(
    "asset",
    assets.map((asset, index) => ({ name: asset.name, path: ["spec", "assets", index, "name"] })),
  );
  const known = new Map(assets.map((asset) => [asset.name, asset]));
  const resources = asList(spec["resources"]).map((resource, index) =>
    parseVirdomain(context, ["spec", "resources", index], resource, known, options.cloudInit),
  );
  context.unique(
    "resource",
    resources.map(({ resource }, index) => ({ name: resource, path: ["spec", "resources", index, "name"] })),
  );
  return {
    type: "Application",
    position: context.positionOf([]),
    name,
    description: asText(metadata["description"])?.trim() ?? "",
    labels: texts(metadata["labels"]),
    clusterGroups: texts(metadata["clusterGroups"]),
    lifecycle: asWord(metadata["lifecycle"], lifecycles, "production"),
    assets,
    resources,
  };
}

function texts(value: unknown): readonly string[] {
  return [...new Set(asList(value).flatMap((item) => asText(item)?.trim() ?? []))];
}

function parseAsset(context: DocumentContext, path: Path, value: unknown, options: ApplicationOptions): AssetTemplate {
  const asset = asRecord(value);
  const url = asText(asset["url"])?.trim() ?? "";
  const written = asset["format"] === undefined && asset["type"] === "iso" ? "iso" : asset["format"];
  const format = asWord(written, assetFormats, asWord(formatOfUrl(url), assetFormats, "raw"));
  checkUrl(context, [...path, "url"], url, options.allowHttp);
  return {
    name: context.name([...path, "name"], asset["name"]),
    type: asset["type"] === "iso" || format === "iso" ? "iso" : "virtual_disk",
    format: format === "img" ? "raw" : format,
    url: context.templated([...path, "url"], url),
    position: context.positionOf(path),
  };
}

/** A URL whose scheme or host comes from a variable is checked when it is filled in. */
function checkUrl(context: DocumentContext, path: Path, url: string, allowHttp: boolean): void {
  if (url === "") return;
  const beginning = url.split("{{", 1)[0] ?? "";
  if (holdsTemplate(url) && !/^[a-z][a-z0-9+.-]*:/i.test(beginning)) return;
  const fault = findUrlFault(holdsTemplate(url) ? url.replaceAll(/\{\{[^{}]*\}\}/g, "x") : url, allowHttp);
  if (fault !== undefined) context.report({ path, ...fault });
}
