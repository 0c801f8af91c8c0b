import { contentHash } from "../lib/canonical-json.ts";
import { findUrlFault } from "../manifest/asset-url.ts";
import type {
  ApplicationDocument,
  AssetTemplate,
  DiskTemplate,
  NicTemplate,
  TemplateText,
  Templated,
  VirdomainTemplate,
} from "../manifest/document.ts";
import { defaultPolicy } from "../manifest/document.ts";
import { nameFault, parseWholeNumber, tagFault } from "../manifest/document-context.ts";
import { minimumMemoryBytes } from "../manifest/parse-virdomain.ts";
import { nearestHint } from "../manifest/nearest.ts";
import type { ProblemCode } from "../manifest/problem-codes.ts";
import type { Position, Problem } from "../manifest/problem.ts";
import { parseBytes } from "../manifest/quantity.ts";
import { renderTemplate } from "../manifest/template.ts";
import type {
  DesiredAsset,
  DesiredCloudInit,
  DesiredDisk,
  DesiredNic,
  DesiredVirdomain,
  VirdomainIdentity,
} from "./desired-state.ts";
import { type Instance, baseName, formerIdentities, planInstances, stepOf } from "./instances.ts";
import { describeMapping, findNetwork } from "./map-network.ts";
import type { TargetPlan } from "./resolve-targets.ts";

const mebibyte = 1024 ** 2;

export interface TargetInput {
  readonly repository: string;
  readonly application: ApplicationDocument;
  readonly plan: TargetPlan;
  /** The cluster's own id, for `{{ clusterId }}`; undefined while it is not known. */
  readonly clusterId: string | undefined;
  readonly allowHttp: boolean;
}

export interface RenderedTarget {
  readonly virdomains: readonly DesiredVirdomain[];
  readonly problems: readonly Problem[];
}

/** The VMs of one application on one cluster: variables filled in, copies made, networks mapped. */
export function renderTarget(input: TargetInput): RenderedTarget {
  const renderer = new Renderer(input);
  const virdomains = input.application.resources.flatMap((template) => renderer.resource(template));
  return { virdomains, problems: renderer.problems };
}

/** Values by name; what is more specific wins: deployment, groups in their order, cluster, copy. The cluster's own come last. */
function variablesFor({ plan, clusterId }: TargetInput, instance: Instance): Readonly<Record<string, string>> {
  return {
    instance_id: "1",
    ...plan.deployment?.variables,
    ...Object.assign({}, ...plan.groups.map(({ variables }) => variables)),
    ...plan.cluster.variables,
    ...(instance.instanceId === undefined ? {} : { instance_id: instance.instanceId }),
    clusterName: plan.cluster.name,
    ...(clusterId === undefined ? {} : { clusterId }),
  };
}

class Renderer {
  readonly problems: Problem[] = [];
  readonly #input: TargetInput;
  #variables: Readonly<Record<string, string>>;

  constructor(input: TargetInput) {
    this.#input = input;
    this.#variables = variablesFor(input, { ordinal: 0, instanceId: undefined });
  }

  resource(template: VirdomainTemplate): readonly DesiredVirdomain[] {
    const { deployment } = this.#input.plan;
    // Tags that choose the number of copies are filled in without a copy's own number.
    this.#variables = variablesFor(this.#input, { ordinal: 0, instanceId: undefined });
    const tags = this.#quietTags(template);
    const instances = planInstances(template, tags, deployment);
    if (instances !== undefined) return instances.map((instance) => this.#virdomain(template, instance));
    const hint = `name it "${template.resource}-{{ instance_id }}"`;
    this.#report(
      "instance-name",
      template.position,
      "name",
      `the copies of "${template.resource}" would all have one name`,
      hint,
    );
    return [];
  }

  #quietTags(template: VirdomainTemplate): readonly string[] {
    return template.tags.flatMap((tag) => {
      if (typeof tag === "string") return tag;
      const rendered = renderTemplate(tag.template, this.#variables, { guestText: false });
      return "text" in rendered ? rendered.text : [];
    });
  }

  #virdomain(template: VirdomainTemplate, instance: Instance): DesiredVirdomain {
    const { repository, application, plan } = this.#input;
    this.#variables = variablesFor(this.#input, instance);
    const identity: VirdomainIdentity = {
      repository,
      application: application.name,
      resource: template.resource,
      ordinal: instance.ordinal,
    };
    const name = this.#name(template);
    const tags = this.#tags(template);
    const words = [...tags, name, template.resource, baseName(template.resource)];
    const os = template.os === undefined ? "" : this.#text(template.os, false).trim().toLowerCase();
    return {
      identity,
      deployment: plan.deployment?.name,
      formerIdentities: formerIdentities(identity, plan.deployment),
      name,
      description: this.#text(template.description, false),
      os: os === "" ? undefined : os,
      cpu: this.#cpu(template),
      memoryBytes: Math.ceil(this.#memory(template) / mebibyte) * mebibyte,
      machineType: template.machineType,
      state: template.state,
      tags,
      disks: template.disks.map((disk) => this.#disk(disk)),
      nics: template.nics.map((nic) => this.#nic(nic)),
      cloudInit: this.#cloudInit(template.cloudInit),
      step: stepOf(plan.deployment?.order ?? [], words),
      readiness: plan.deployment?.readiness,
      policy: plan.deployment?.policy ?? defaultPolicy,
      position: template.position,
    };
  }

  #name(template: VirdomainTemplate): string {
    const name = this.#text(template.name, false).trim();
    const fault = typeof template.name === "string" ? undefined : nameFault(name);
    if (fault !== undefined && typeof template.name !== "string")
      this.#reportAt("invalid-name", template.name, `"${name.slice(0, 80)}": ${fault}`, "1 to 63 visible characters");
    return name;
  }

  #tags(template: VirdomainTemplate): readonly string[] {
    const tags = template.tags.map((tag) => {
      const text = this.#text(tag, false).trim();
      const fault = typeof tag === "string" || text === "" ? undefined : tagFault(text);
      if (fault !== undefined && typeof tag !== "string") this.#reportAt("invalid-tag", tag, fault.message, fault.hint);
      return text;
    });
    return [...new Set(tags)].filter((tag) => tag !== "");
  }

  #cpu(template: VirdomainTemplate): number {
    const cpu = this.#wholeNumber(template.cpu, 0, 1024) ?? 1;
    if (cpu === 0 && template.state === "running" && typeof template.cpu !== "number") {
      this.#reportAt(
        "cpu-zero",
        template.cpu,
        "a VM without a CPU cannot run",
        "at least 1, or state: shutoff for a template",
      );
    }
    return cpu;
  }

  #memory(template: VirdomainTemplate): number {
    const memory = this.#bytes(template.memoryBytes);
    if (memory < minimumMemoryBytes && typeof template.memoryBytes !== "number") {
      this.#reportAt(
        "memory-too-small",
        template.memoryBytes,
        `${memory} bytes of memory are too little`,
        "at least 64 MiB",
      );
    }
    return memory;
  }

  #disk(disk: DiskTemplate): DesiredDisk {
    const asset = this.#input.application.assets.find(({ name }) => name === disk.source);
    const capacityBytes = disk.capacityBytes === undefined ? undefined : this.#bytes(disk.capacityBytes);
    return {
      name: disk.name,
      type: disk.type,
      asset: asset === undefined ? undefined : this.#asset(asset),
      capacityBytes,
      boot: disk.boot,
    };
  }

  #asset(asset: AssetTemplate): DesiredAsset {
    if (typeof asset.url === "string") return literalAsset(asset, asset.url);
    const url = this.#text(asset.url, false);
    const fault = findUrlFault(url, this.#input.allowHttp);
    if (fault !== undefined && url !== "") this.#reportAt(fault.code, asset.url, fault.message, fault.hint);
    return toAsset(asset, url);
  }

  #nic(nic: NicTemplate): DesiredNic {
    const vlan = nic.vlan === undefined ? undefined : this.#wholeNumber(nic.vlan, 0, 4094);
    const { cluster } = this.#input.plan;
    const network = findNetwork(cluster.networks, nic.name, vlan);
    if (network === undefined) {
      const message = `the NIC "${nic.name}" is mapped to no network of its cluster`;
      this.#report(
        "network-unmapped",
        nic.position,
        `network_devices.${nic.name}`,
        message,
        describeMapping(cluster.networks),
      );
    }
    return { name: nic.name, type: nic.type, network: network ?? {} };
  }

  #cloudInit(cloudInit: VirdomainTemplate["cloudInit"]): DesiredCloudInit | undefined {
    if (cloudInit === undefined) return undefined;
    const { userData, metaData } = cloudInit;
    if (typeof userData === "string" && typeof metaData === "string")
      return literalCloudInit(cloudInit, userData, metaData);
    return toCloudInit(this.#text(userData, true), this.#text(metaData, true));
  }

  /** `""` (and a problem) when a variable is not defined. Text of several lines is the guest's, whatever field it is in. */
  #text(value: Templated<string>, guestText: boolean): string {
    if (typeof value === "string") return value;
    const rendered = renderTemplate(value.template, this.#variables, {
      guestText: guestText || value.template.includes("\n"),
    });
    if ("text" in rendered) return rendered.text;
    for (const name of rendered.undefinedVariables) {
      const hint =
        name === "clusterId"
          ? "the cluster's id is not known yet"
          : (nearestHint(name, Object.keys(this.#variables), "defined here") ??
            "give it a value in the Deployment, the ClusterGroup or the cluster");
      this.#reportAt("undefined-variable", value, `{{ ${name} }} has no value`, hint);
    }
    return "";
  }

  /** Undefined (and a problem) when it is no such number. */
  #wholeNumber(value: Templated<number>, minimum: number, maximum: number): number | undefined {
    if (typeof value === "number") return value;
    const text = this.#text(value, false);
    if (text === "") return undefined;
    const parsed = parseWholeNumber(text, minimum, maximum);
    if (typeof parsed === "number") return parsed;
    this.#reportAt("invalid-number", value, parsed.message, parsed.hint);
    return undefined;
  }

  #bytes(value: Templated<number>): number {
    if (typeof value === "number") return value;
    const text = this.#text(value, false);
    const parsed = text === "" ? minimumMemoryBytes : parseBytes(text);
    if (typeof parsed === "number") return parsed;
    this.#reportAt("invalid-quantity", value, parsed.message, parsed.hint);
    return minimumMemoryBytes;
  }

  #reportAt(code: ProblemCode, place: TemplateText, message: string, hint: string): void {
    this.#report(code, place.position, place.path, message, hint);
  }

  #report(code: ProblemCode, position: Position, path: string, message: string, hint: string): void {
    this.problems.push({
      severity: "error",
      code,
      position,
      path,
      message,
      hint,
      application: this.#input.application.name,
    });
  }
}

// Texts without variables are the same on every cluster: hashed once, and shared. Weak, so that documents can go.
const literalAssets = new WeakMap<AssetTemplate, DesiredAsset>();
const literalCloudInits = new WeakMap<object, DesiredCloudInit>();

function literalAsset(template: AssetTemplate, url: string): DesiredAsset {
  const known = literalAssets.get(template);
  if (known !== undefined) return known;
  const asset = toAsset(template, url);
  literalAssets.set(template, asset);
  return asset;
}

function literalCloudInit(template: object, userData: string, metaData: string): DesiredCloudInit {
  const known = literalCloudInits.get(template);
  if (known !== undefined) return known;
  const cloudInit = toCloudInit(userData, metaData);
  literalCloudInits.set(template, cloudInit);
  return cloudInit;
}

function toAsset({ name, type, format }: AssetTemplate, url: string): DesiredAsset {
  return { name, type, format, url, id: contentHash(url, 12) };
}

function toCloudInit(userData: string, metaData: string): DesiredCloudInit {
  return { userData, metaData, hash: contentHash({ userData, metaData }) };
}
