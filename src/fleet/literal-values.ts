import { contentHash } from "../lib/canonical-json.ts";
import type { AssetTemplate } from "../manifest/document.ts";
import type { DesiredAsset, DesiredCloudInit } from "./desired-state.ts";

// Texts without variables are the same on every cluster: hashed once, and shared. Weak, so that documents can go.
const literalAssets = new WeakMap<AssetTemplate, DesiredAsset>();
const literalCloudInits = new WeakMap<object, DesiredCloudInit>();

export function literalAsset(template: AssetTemplate, url: string): DesiredAsset {
  const known = literalAssets.get(template);
  if (known !== undefined) return known;
  const asset = toAsset(template, url);
  literalAssets.set(template, asset);
  return asset;
}

export function literalCloudInit(template: object, userData: string, metaData: string): DesiredCloudInit {
  const known = literalCloudInits.get(template);
  if (known !== undefined) return known;
  const cloudInit = toCloudInit(userData, metaData);
  literalCloudInits.set(template, cloudInit);
  return cloudInit;
}

export function toAsset({ name, type, format }: AssetTemplate, url: string): DesiredAsset {
  return { name, type, format, url, id: contentHash(url, 12) };
}

export function toCloudInit(userData: string, metaData: string): DesiredCloudInit {
  return { userData, metaData, hash: contentHash({ userData, metaData }) };
}
