import {
  anyKeyPattern,
  draft,
  envelopeSchema,
  filledListSchema,
  identifierPattern,
  type JsonSchema,
  listSchema,
  mapSchema,
  nameSchema,
  objectSchema,
  wordSchema,
} from "./json-schema.ts";
import { applicationSchema } from "./application-schema.ts";
import { snapshotOccasions } from "./document.ts";

const variables = mapSchema(
  { type: ["string", "number", "boolean"] },
  identifierPattern,
  "Values for {{ variables }} of the applications. clusterName and clusterId are always there and cannot be set.",
);

const duration = (description: string, example: string): JsonSchema => ({
  type: ["string", "number"],
  description,
  examples: [example],
});
const name = (description: string): JsonSchema => nameSchema(description);

const metadata = (description: string): JsonSchema =>
  objectSchema(
    {
      name: name("Name, unique in the repository among its kind."),
      description: { type: ["string", "null"], description: "For people." },
      labels: listSchema({ type: "string" }, "Labels, for people."),
    },
    ["name"],
    description,
  );

const selector: JsonSchema = {
  type: ["string", "object"],
  minLength: 1,
  additionalProperties: false,
  minProperties: 1,
  maxProperties: 1,
  properties: {
    name: name("Name of a cluster, or a pattern with * and ?."),
    label: { type: "string", pattern: "^[^=\\s]+=.*$", description: "key=value", examples: ["region=east"] },
  },
  examples: ["store-1*"],
};

/** `type: ClusterGroup`. */
export const clusterGroupSchema: JsonSchema = envelopeSchema(
  "ClusterGroup",
  metadata("Who the group is."),
  objectSchema(
    {
      clusters: filledListSchema(
        selector,
        'Clusters by name, by pattern ("store-1*") or by label ({ label: "region=east" }).',
      ),
      variables,
    },
    ["clusters"],
    "Which clusters, with which variables.",
  ),
  "A named set of clusters.",
);

const readiness = objectSchema(
  {
    guestAgent: { type: "boolean", description: "Wait until the guest agent answers, or the guest's address is seen." },
    cloudInit: {
      type: "boolean",
      description:
        "Wait until cloud-init has finished in a guest with cloud-init data; needs libvirt and a guest agent.",
    },
    tcp: { type: "integer", minimum: 1, maximum: 65_535, description: "Port that must accept a connection." },
    http: {
      type: "string",
      pattern: "^:\\d{1,5}(/\\S*)?$",
      description: "Port and path that must answer below 400.",
      examples: [":8080/healthz"],
    },
    timeout: duration("How long to wait. Left out: 10m.", "10m"),
  },
  [],
  "When a VM counts as ready.",
);

const rollout = objectSchema(
  {
    canary: {
      type: ["string", "array", "null"],
      minLength: 1,
      items: name("Name of a cluster group or of a cluster."),
      description: "Clusters that go first: a cluster group or a cluster, or a list of them.",
      examples: ["canaries", ["store-101", "store-102"]],
    },
    batch: {
      type: ["integer", "string"],
      minimum: 1,
      pattern: "^[1-9]\\d{0,4}%?$",
      description:
        "Clusters at a time: a number, or a percentage of the deployment's clusters. Left out: all that are left.",
      examples: ["10%"],
    },
    pause: duration("From the end of a stage to the beginning of the next one. Left out: none.", "5m"),
    stopOnFailure: {
      type: "boolean",
      description: "Whether clusters that have not begun stay as they are after the first failure. Left out: true.",
    },
  },
  [],
  "The pace over the clusters.",
);

const policy = objectSchema(
  {
    drift: wordSchema(["correct", "report"], "What happens to drift. Left out: correct."),
    power: wordSchema(
      ["enforced", "initial"],
      "Whether state holds for good or only for a new VM, whose power is people's from then on. Left out: enforced.",
    ),
    cloudInit: wordSchema(
      ["ignore", "rebuild", "refuse"],
      "What happens when cloud_init_data of an existing VM changes. Left out: ignore.",
    ),
    adopt: { type: "boolean", description: "Take over VMs of the same name that nobody manages. Left out: false." },
    quarantine: duration(
      "How long a deleted VM is kept, switched off, before it is purged; 0 or off deletes at once. Left out: 7d.",
      "14d",
    ),
    deletionBudget: objectSchema(
      {
        count: { type: "integer", minimum: 0, description: "VMs. Left out: 3." },
        percent: {
          type: "number",
          minimum: 0,
          maximum: 100,
          description: "Per cent of the repository's VMs. Left out: 20.",
        },
      },
      [],
      "How many VMs a run may delete without approval: whichever is more.",
    ),
    protect: listSchema(name("A tag or a VM name."), "VMs that may not be deleted or rebuilt."),
    shutdownGrace: duration("How long a guest gets to shut down by itself. Left out: 5m.", "5m"),
    forceShutdown: { type: "boolean", description: "Switch off a guest that ignores the shutdown. Left out: true." },
    snapshots: objectSchema(
      {
        before: {
          type: "array",
          items: wordSchema(snapshotOccasions, "What the change costs the guest."),
          description: "Changes before which a snapshot is taken; [] takes none. Left out: all three.",
        },
        keep: duration("How long it is kept before it is removed; at least 1h. Left out: 7d.", "7d"),
      },
      [],
      "Snapshots of a VM before risky changes, where the platform has snapshots. They are never replicated.",
    ),
  },
  [],
  "What is allowed.",
);

/** `type: Deployment`. */
export const deploymentSchema: JsonSchema = envelopeSchema(
  "Deployment",
  metadata("Who the deployment is."),
  objectSchema(
    {
      applications: filledListSchema(name("Name of an Application."), "What is deployed."),
      clusterGroups: filledListSchema(name("Name of a ClusterGroup."), "Where to."),
      variables,
      instances: mapSchema(
        { type: "integer", minimum: 0, maximum: 1000 },
        anyKeyPattern,
        "Resource name or tag -> number of copies.",
      ),
      order: listSchema(name("A tag or a VM name."), "Steps: a step starts when the VMs of the one before are ready."),
      renamed_from: mapSchema(
        { type: "string", minLength: 1 },
        anyKeyPattern,
        "New resource name -> the name it had before (or application/name).",
      ),
      readiness,
      rollout,
      policy,
    },
    ["applications", "clusterGroups"],
    "What goes where, and how.",
  ),
  "Brings applications to cluster groups.",
);

/** Any of our documents, for editors that know files and not types. */
export const manifestSchema: JsonSchema = {
  $schema: draft,
  title: "kraken-gitops manifest",
  description: "An Application, a ClusterGroup or a Deployment.",
  oneOf: [applicationSchema, clusterGroupSchema, deploymentSchema].map(({ $schema: _draft, ...schema }) => schema),
};
