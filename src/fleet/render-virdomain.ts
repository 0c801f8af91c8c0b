import { findUrlFault } from "../manifest/asset-url.ts";
import type {
  ApplicationDocument,
  AssetTemplate,
  DiskTemplate,
  NicTemplate,
  VirdomainTemplate,
} from "../manifest/document.ts";
import { defaultPolicy } from "../manifest/document.ts";
import { nameFault, tagFault } from "../manifest/document-context.ts";
import { minimumMemoryBytes } from "../manifest/parse-virdomain.ts";
import type { Problem } from "../manifest/problem.ts";
import { renderTemplate } from "../manifest/template.ts";
import type {
  DesiredAsset,
  DesiredCloudInit,
  DesiredDisk,
  DesiredNic,
  DesiredVirdomain,
  VirdomainIdentity,
} from "./desired-state.ts";
import { type Instance, baseName, formerIdentities, isNumbered, planInstances, stepOf } from "./instances.ts";
import { literalAsset, literalCloudInit, toAsset, toCloudInit } from "./literal-values.ts";
import { adviseMapping, findNetwork } from "./map-network.ts";
import type { TargetPlan } from "./resolve-targets.ts";
import { scaleDown } from "./scale-down.ts";
import { TemplateFiller } from "./template-filler.ts";

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
    // Elsewhere {{ instance_id }} may be the guest's: cloud-init has a Jinja variable of that name.
    ...(instance.ordinal === 0 ? {} : { instance_id: "1" }),
    ...plan.deployment?.variables,
    ...Object.fromEntries(plan.groups.flatMap(({ variables }) => Object.entries(variables))),
    ...plan.cluster.variables,
    ...(instance.instanceId === undefined ? {} : { instance_id: instance.instanceId }),
    clusterName: plan.cluster.name,
    ...(clusterId === undefined ? {} : { clusterId }),
  };
}

class Renderer {
  readonly #input: TargetInput;
  readonly #filler: TemplateFiller;
  readonly #assets: ReadonlyMap<string, AssetTemplate>;

  constructor(input: TargetInput) {
    this.#input = input;
    this.#filler = new TemplateFiller(input.application.name);
    this.#assets = new Map(input.application.assets.map((asset) => [asset.name, asset]));
  }

  get problems(): readonly Problem[] {
    return this.#filler.problems;
  }

  resource(template: VirdomainTemplate): readonly DesiredVirdomain[] {
    const { deployment } = this.#input.plan;
    // Tags that choose the number of copies are filled in without a copy's own number.
    const unnumbered = { ordinal: isNumbered(template.resource) ? 1 : 0, instanceId: undefined };
    this.#filler.variables = variablesFor(this.#input, unnumbered);
    const tags = this.#quietTags(template);
    const instances = planInstances(template, tags, deployment);
    if (instances !== undefined) return instances.map((instance) => this.#virdomain(template, instance));
    const hint = `name it "${template.resource}-{{ instance_id }}"`;
    this.#filler.report(
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
      const rendered = renderTemplate(tag.template, this.#filler.variables, { guestText: false });
      return "text" in rendered ? rendered.text : [];
    });
  }

  #virdomain(template: VirdomainTemplate, instance: Instance): DesiredVirdomain {
    const { repository, application, plan } = this.#input;
    this.#filler.variables = variablesFor(this.#input, instance);
    const identity: VirdomainIdentity = {
      repository,
      application: application.name,
      resource: template.resource,
      ordinal: instance.ordinal,
    };
    const name = this.#name(template);
    const tags = this.#tags(template);
    const words = [...tags, name, template.resource, baseName(template.resource)];
    const os = template.os === undefined ? "" : this.#filler.text(template.os, false).trim().toLowerCase();
    return {
      identity,
      deployment: plan.deployment?.name,
      formerIdentities: formerIdentities(identity, plan.deployment),
      name,
      description: this.#filler.text(template.description, false),
      os: os === "" ? undefined : os,
      ...this.#size(template),
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
    const name = this.#filler.text(template.name, false).trim();
    const fault = typeof template.name === "string" ? undefined : nameFault(name);
    if (fault !== undefined && typeof template.name !== "string")
      this.#filler.reportAt(
        "invalid-name",
        template.name,
        `"${name.slice(0, 80)}": ${fault}`,
        "1 to 63 visible characters",
      );
    return name;
  }

  #tags(template: VirdomainTemplate): readonly string[] {
    const tags = template.tags.map((tag) => {
      const text = this.#filler.text(tag, false).trim();
      const fault = typeof tag === "string" || text === "" ? undefined : tagFault(text);
      if (fault !== undefined && typeof tag !== "string")
        this.#filler.reportAt("invalid-tag", tag, fault.message, fault.hint);
      return text;
    });
    return [...new Set(tags)].filter((tag) => tag !== "");
  }

  #size(template: VirdomainTemplate): ReturnType<typeof scaleDown> {
    const memoryBytes = Math.ceil(this.#memory(template) / mebibyte) * mebibyte;
    return scaleDown({ cpu: this.#cpu(template), memoryBytes }, this.#input.plan.cluster.limits);
  }

  #cpu(template: VirdomainTemplate): number {
    const cpu = this.#filler.wholeNumber(template.cpu, 0, 1024) ?? 1;
    if (cpu === 0 && template.state === "running" && typeof template.cpu !== "number") {
      this.#filler.reportAt(
        "cpu-zero",
        template.cpu,
        "a VM without a CPU cannot run",
        "at least 1, or state: shutoff for a template",
      );
    }
    return cpu;
  }

  #memory(template: VirdomainTemplate): number {
    const memory = this.#filler.bytes(template.memoryBytes);
    if (memory < minimumMemoryBytes && typeof template.memoryBytes !== "number") {
      this.#filler.reportAt(
        "memory-too-small",
        template.memoryBytes,
        `${memory} bytes of memory are too little`,
        "at least 64 MiB",
      );
    }
    return memory;
  }

  #disk(disk: DiskTemplate): DesiredDisk {
    const asset = disk.source === undefined ? undefined : this.#assets.get(disk.source);
    const capacityBytes = disk.capacityBytes === undefined ? undefined : this.#filler.bytes(disk.capacityBytes);
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
    const url = this.#filler.text(asset.url, false);
    const fault = findUrlFault(url, this.#input.allowHttp);
    if (fault !== undefined && url !== "") this.#filler.reportAt(fault.code, asset.url, fault.message, fault.hint);
    return toAsset(asset, url);
  }

  #nic(nic: NicTemplate): DesiredNic {
    const vlan = nic.vlan === undefined ? undefined : this.#filler.wholeNumber(nic.vlan, 0, 4094);
    const { cluster } = this.#input.plan;
    const network = findNetwork(cluster, nic.name, vlan);
    if (network === undefined) {
      const message = `the NIC "${nic.name}" is mapped to no network of its cluster`;
      this.#filler.report(
        "network-unmapped",
        nic.position,
        `network_devices.${nic.name}`,
        message,
        adviseMapping(cluster, vlan),
      );
    }
    return { name: nic.name, type: nic.type, network: network ?? {} };
  }

  #cloudInit(cloudInit: VirdomainTemplate["cloudInit"]): DesiredCloudInit | undefined {
    if (cloudInit === undefined) return undefined;
    const { userData, metaData } = cloudInit;
    if (typeof userData === "string" && typeof metaData === "string")
      return literalCloudInit(cloudInit, userData, metaData);
    return toCloudInit(this.#filler.text(userData, true), this.#filler.text(metaData, true));
  }
}
