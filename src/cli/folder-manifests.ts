import type { FolderFile } from "../app/compose.ts";
import type { FleetSettings } from "../app/planning/manifests.ts";
import { buildDesiredState } from "../fleet/build-desired-state.ts";
import type { DesiredState } from "../fleet/desired-state.ts";
import { type ParsedFile, parseManifest, refuseEntry } from "../manifest/parse.ts";

export interface FolderOptions {
  readonly strict: boolean;
  readonly allowHttp: boolean;
}

/** Parses the files of a folder, under the name they have for people. */
export function parseFolder(
  files: ReadonlyMap<string, FolderFile>,
  prefix: string,
  options: FolderOptions,
): ParsedFile[] {
  return [...files].map(([path, content]) => {
    const file = prefix === "" || prefix === "." ? path : `${prefix.replace(/\/+$/, "")}/${path}`;
    return typeof content === "string" ? refuseEntry(file, content) : parseManifest(file, content, options);
  });
}

/** The desired state of parsed files on the given clusters. */
export function desiredOf(files: readonly ParsedFile[], settings: FleetSettings): DesiredState {
  return buildDesiredState({ ...settings, files });
}

/** Without a configuration there is one cluster to look at manifests with; it maps no networks. */
export function imaginaryFleet(allowHttp: boolean): FleetSettings {
  const cluster = { name: "default", driver: "hypercore" as const, labels: {}, variables: {}, networks: undefined };
  return { repository: "local", clusters: [cluster], defaultClusters: [cluster.name], allowHttp };
}
