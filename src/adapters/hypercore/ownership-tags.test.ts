import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { OwnershipMark } from "../../plan/live-state.ts";
import { type DiskNote, type TagContent, formatMark, isOurTag, parseMark, splitTags } from "./ownership-tags.ts";

const uuid = "1a2b3c4d-0000-4000-8000-000000000001";

const name = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 });
const hex = (length: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...Array.from("0123456789abcdef")), minLength: length, maxLength: length });
const plainTag = fc.stringMatching(/^[a-z][a-z0-9:_-]{0,15}$/).filter((tag) => !isOurTag(tag));
const note: fc.Arbitrary<DiskNote> = fc
  .record({
    assetId: fc.option(name, { nil: undefined }),
    place: fc.oneof(
      fc.record({ uuidPrefix: hex(8) }),
      fc.record({ bus: fc.constantFrom("virtio" as const, "ide" as const, "scsi" as const), slot: fc.nat(30) }),
    ),
  })
  .map(({ assetId, place }) => ({ assetId, ...place }));
const mark: fc.Arbitrary<OwnershipMark> = fc.record({
  instance: name,
  identity: fc.record({ repository: name, application: name, resource: name, ordinal: fc.nat(99) }),
  deployment: fc.option(name, { nil: undefined }),
  revision: fc.option(hex(40), { nil: undefined }),
  cloudInitHash: fc.option(hex(64), { nil: undefined }),
  building: fc.boolean(),
  protected: fc.boolean(),
});
const content: fc.Arbitrary<TagContent> = fc
  .record({
    mark,
    manifestTags: fc.array(plainTag, { maxLength: 4 }),
    peopleTags: fc.array(plainTag, { maxLength: 4 }),
    disks: fc.array(fc.tuple(name, note), { maxLength: 5 }).map((entries) => new Map(entries)),
    nics: fc.array(fc.tuple(name, hex(8)), { maxLength: 3 }).map((entries) => new Map(entries)),
  })
  .map((rest) => ({ ...rest, vmUuid: rest.mark.building ? undefined : uuid }));

describe("ownership tags", () => {
  it("give back whatever names and notes went into them, revisions and hashes abbreviated", () => {
    fc.assert(
      fc.property(content, (given) => {
        const read = parseMark(formatMark(given), uuid);
        expect(read).toEqual({
          clone: false,
          manifestTags: given.manifestTags,
          peopleTags: given.peopleTags,
          disks: given.disks,
          nics: given.nics,
          mark: {
            ...given.mark,
            revision: given.mark.revision?.slice(0, 12),
            cloudInitHash: given.mark.cloudInitHash?.slice(0, 12),
          },
        });
      }),
    );
  });

  it("never hold a comma, a space or a control character of their own", () => {
    fc.assert(
      fc.property(content, (given) => {
        for (const tag of splitTags(formatMark(given)).filter(isOurTag)) expect(tag).toMatch(/^[!-+\--~]+$/);
      }),
    );
  });

  it("belong to one VM only: on any other they are a clone's", () => {
    const tags = formatMark({
      mark: marked(),
      vmUuid: uuid,
      manifestTags: [],
      peopleTags: [],
      disks: new Map(),
      nics: new Map(),
    });
    expect(parseMark(tags, uuid).clone).toBe(false);
    expect(parseMark(tags, "99999999-0000-4000-8000-000000000001")).toMatchObject({ clone: true, mark: undefined });
  });

  it("are no mark when somebody removed a part that matters", () => {
    const tags = splitTags(
      formatMark({
        mark: marked(),
        vmUuid: uuid,
        manifestTags: ["web"],
        peopleTags: ["x"],
        disks: new Map(),
        nics: new Map(),
      }),
    );
    for (const key of ["kg-own:", "kg-vm:"]) {
      const rest = tags.filter((tag) => !tag.startsWith(key)).join(",");
      expect(parseMark(rest, uuid)).toMatchObject({
        mark: undefined,
        clone: false,
        manifestTags: ["web"],
        peopleTags: ["x"],
      });
    }
  });

  it("read as nothing on a VM without tags, and never throw on what people typed", () => {
    expect(parseMark("", uuid)).toMatchObject({ mark: undefined, manifestTags: [], peopleTags: [] });
    fc.assert(
      fc.property(
        fc.string({ unit: "binary" }),
        (typed) => void parseMark(`${typed},kg-own:${typed},kg-disk:${typed}=${typed}`, uuid),
      ),
    );
  });

  it("do not grow when a manifest itself names one of them", () => {
    const tags = formatMark({
      mark: marked(),
      vmUuid: uuid,
      manifestTags: ["kg-protect", "web"],
      peopleTags: [],
      disks: new Map(),
      nics: new Map(),
    });
    expect(parseMark(tags, uuid)).toMatchObject({ manifestTags: ["web"], mark: { protected: false } });
  });
});

function marked(): OwnershipMark {
  const identity = { repository: "fleet", application: "shop", resource: "web", ordinal: 2 };
  return {
    instance: "edge",
    identity,
    deployment: undefined,
    revision: undefined,
    cloudInitHash: undefined,
    building: false,
    protected: false,
  };
}
