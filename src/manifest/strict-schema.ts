import { type JsonSchema, draft } from "./json-schema.ts";

/**
 * The rules of the published Application JSON Schema (Kraken application manifests 1.0.0, "Schema Reference" of the
 * public specification), as far as they are known, written anew. Where published versions differ the one that fits
 * the vendor's clusters today is followed: a storage device needs its type and capacity, a variable in a name is
 * written without spaces.
 */
const variable = "\\{\\{[A-Za-z_][A-Za-z0-9_]*\\}\\}";
const name = {
  type: "string",
  maxLength: 63,
  pattern: `^([a-z0-9]|${variable})(([-a-z0-9]|${variable})*([a-z0-9]|${variable}))?$`,
};
const plainName = { type: "string", maxLength: 63, pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" };
const label = {
  type: "string",
  maxLength: 63,
  pattern: `^([a-zA-Z0-9]|${variable})(([-a-zA-Z0-9_.]|${variable})*([a-zA-Z0-9]|${variable}))?$`,
};
/** Text in which a variable, if there is one, has no spaces inside its braces. */
const text = { type: "string", maxLength: 255, pattern: "^(?![\\s\\S]*\\{\\{\\s)[\\s\\S]*$" };

function closed(required: readonly string[], properties: Readonly<Record<string, JsonSchema>>): JsonSchema {
  return { type: "object", additionalProperties: false, required, properties };
}

function list(items: JsonSchema): JsonSchema {
  return { type: "array", items };
}

const storageDevice = closed(["name", "type", "capacity"], {
  name: plainName,
  type: { enum: ["virtio_disk", "ide_cdrom"] },
  source: { type: "string" },
  capacity: { type: "integer", minimum: 1024 ** 3, maximum: 1024 ** 4 },
  boot: { type: "integer", minimum: 1, maximum: 255 },
});

const virdomain = closed(["cpu", "memory", "machine_type", "state"], {
  description: text,
  cpu: { type: "integer", minimum: 1, maximum: 128 },
  memory: { type: "string", pattern: "^[0-9]+$" },
  machine_type: { enum: ["uefi", "bios", "tpm"] },
  state: { enum: ["running", "shutoff"] },
  storage_devices: list(storageDevice),
  network_devices: list(closed(["name", "type"], { name: plainName, type: { enum: ["virtio"] } })),
  tags: list(label),
  cloud_init_data: closed([], { user_data: { type: "string" }, meta_data: { type: "string" } }),
});

/** What `--strict` checks an Application against, beside everything else. */
export const strictApplicationSchema: JsonSchema = {
  $schema: draft,
  ...closed(["type", "version", "metadata", "spec"], {
    type: { const: "Application" },
    version: { enum: ["1.0.0"] },
    metadata: closed(["name"], { name: plainName, labels: list(label) }),
    spec: closed(["resources"], {
      assets: list(
        closed(["name", "type", "format", "url"], {
          name: plainName,
          type: { enum: ["virtual_disk"] },
          format: { enum: ["raw", "qcow2", "iso"] },
          url: { type: "string", pattern: "^https://" },
        }),
      ),
      resources: {
        minItems: 1,
        ...list(closed(["type", "name", "spec"], { type: { enum: ["virdomain"] }, name, spec: virdomain })),
      },
    }),
  }),
};
