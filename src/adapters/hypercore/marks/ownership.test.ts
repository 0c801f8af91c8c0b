import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { OwnershipMark } from "../../../plan/live-state.ts";
import { type DiskNote, isOurMark } from "./marks.ts";
import { type OwnershipContent, marksInTags, readOwnership, toMembers } from "./ownership.ts";
import { splitTags } from "./ownership-tags.ts";

const uuid = "1a2b3c4d-0000-4000-8000-000000000001";
const stranger = "99999999-0000-4000-8000-000000000001";

const name = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 });
const hex = (length: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...Array.from("0123456789abcdef")), minLength: length, maxLength: length });
const plainTag = fc.stringMatching(/^[a-z][a-z0-9:_-]{0,15}$/).filter((tag) => !isOurMark(tag));
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
const content: fc.Arbitrary<OwnershipContent> = fc
  .record({
    mark,
    tags: fc.uniqueArray(plainTag, { maxLength: 8 }),
    manifestCount: fc.nat(4),
    disks: fc.array(fc.tuple(name, note), { maxLength: 5 }).map((entries) => new Map(entries)),
    nics: fc.array(fc.tuple(name, hex(8)), { maxLength: 3 }).map((entries) => new Map(entries)),
  })
  .map(({ tags, manifestCount, ...rest }) => ({
    ...rest,
    manifestTags: tags.slice(0, manifestCount),
    peopleTags: tags.slice(manifestCount),
    vmUuid: rest.mark.building ? undefined : uuid,
  }));
const foreignLabels = fc
  .array(fc.tuple(fc.stringMatching(/^[a-z][a-z0-9_-]{0,20}$/), hex(8)), { maxLength: 4 })
  .map((entries) => new Map(entries));

type Labels = ReadonlyMap<string, string>;

const inTags = (given: OwnershipContent, vm: { uuid?: string } = {}) =>
  readOwnership({ uuid, tags: marksInTags(given), labels: undefined, ...vm });

function inLabels(given: OwnershipContent, before: Labels = new Map()) {
  const { tags, labels } = toMembers({ uuid, tags: "", labels: before }, given, true);
  return { uuid, tags, labels: labels ?? before };
}

const places = [
  ["tags", (given: OwnershipContent) => inTags(given)],
  ["labels", (given: OwnershipContent) => readOwnership(inLabels(given))],
] as const;

for (const [place, store] of places) {
  describe(`marks in ${place}`, () => {
    it("give back whatever names and notes went into them, revisions and hashes abbreviated", () => {
      fc.assert(
        fc.property(content, (given) => {
          expect(store(given)).toEqual({
            place,
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

    it("do not grow when a manifest itself names one of them", () => {
      const read = store({ ...plain(), manifestTags: ["kg-protect", "web"] });
      expect(read).toMatchObject({ manifestTags: ["web"], mark: { protected: false } });
    });

    it("name a tag once that people gave too", () => {
      expect(store({ ...plain(), manifestTags: ["web"], peopleTags: ["web", "rack-4"] })).toMatchObject({
        manifestTags: ["web"],
        peopleTags: ["rack-4"],
      });
    });
  });
}

describe("marks in tags", () => {
  it("never hold a comma, a space or a control character of their own", () => {
    fc.assert(
      fc.property(content, (given) => {
        for (const tag of splitTags(marksInTags(given)).filter(isOurMark)) expect(tag).toMatch(/^[!-+\--~]+$/);
      }),
    );
  });

  it("belong to one VM only: on any other they are a clone's", () => {
    expect(inTags(plain()).clone).toBe(false);
    expect(inTags(plain(), { uuid: stranger })).toMatchObject({ clone: true, mark: undefined });
  });

  it("are no mark when somebody removed a part that matters", () => {
    const tags = splitTags(marksInTags({ ...plain(), manifestTags: ["web"], peopleTags: ["x"] }));
    for (const key of ["kg-own:", "kg-vm:"]) {
      const rest = tags.filter((tag) => !tag.startsWith(key)).join(",");
      expect(readOwnership({ uuid, tags: rest, labels: undefined })).toMatchObject({
        mark: undefined,
        clone: false,
        manifestTags: ["web"],
        peopleTags: ["x"],
      });
    }
  });

  it("read as nothing on a VM without tags, and never throw on what people typed", () => {
    expect(readOwnership({ uuid, tags: "", labels: undefined })).toMatchObject({
      mark: undefined,
      place: "nowhere",
      manifestTags: [],
      peopleTags: [],
    });
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (typed) => {
        const labels = new Map([["kraken-gitops-1-of-1", typed]]);
        readOwnership({ uuid, tags: `${typed},kg-own:${typed},kg-disk:${typed}=${typed}`, labels });
      }),
    );
  });
});

describe("marks in labels", () => {
  it("keep to names, sizes and numbers that the cluster takes, and leave other labels alone", () => {
    fc.assert(
      fc.property(content, foreignLabels, (given, before) => {
        const { labels } = inLabels(given, before);
        for (const [label, value] of before) expect(labels.get(label)).toBe(value);
        for (const [label, value] of labels) {
          expect(label).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
          expect(value.length).toBeLessThanOrEqual(256);
        }
        expect(labels.size).toBeLessThanOrEqual(64);
      }),
    );
  });

  it("take the place of older ones, however many pieces these had", () => {
    fc.assert(
      fc.property(content, content, (older, newer) => {
        expect(inLabels(newer, inLabels(older).labels)).toEqual(inLabels(newer));
      }),
    );
  });

  it("move there from the tags in one write, and the tags show people's and the manifest's only", () => {
    const given = { ...plain(), manifestTags: ["web"], peopleTags: ["rack-4"] };
    const before = { uuid, tags: marksInTags(given), labels: new Map([["owner", "bWU="]]) };
    const after = toMembers(before, given, true);
    expect(after.tags).toBe("web,rack-4");
    expect(after.labels?.get("owner")).toBe("bWU=");
    const read = readOwnership({ uuid, tags: after.tags, labels: after.labels });
    expect(read).toEqual({ ...readOwnership(before), place: "labels" });
  });

  it("are no mark when a piece is missing, or when they stand on another VM", () => {
    const vm = inLabels({ ...plain(), disks: manyDisks() });
    const pieces = [...vm.labels.keys()];
    expect(pieces.length).toBeGreaterThan(2);
    for (const piece of pieces) {
      const rest = new Map([...vm.labels].filter(([label]) => label !== piece));
      expect(readOwnership({ ...vm, labels: rest })).toMatchObject({ mark: undefined, clone: false });
    }
    expect(readOwnership({ ...vm, uuid: stranger })).toMatchObject({ mark: undefined, clone: true });
  });

  it("win over what the tags still say", () => {
    const vm = inLabels({ ...plain(), mark: { ...plain().mark, protected: true } });
    expect(readOwnership({ ...vm, tags: marksInTags(plain()) }).mark?.protected).toBe(true);
  });

  it("go into the tags when people have used up the labels", () => {
    const full = new Map(Array.from({ length: 64 }, (_item, index) => [`theirs-${index}`, "eA=="] as const));
    const members = toMembers({ uuid, tags: "", labels: full }, plain(), true);
    expect(members.labels).toBeUndefined();
    expect(readOwnership({ uuid, tags: members.tags, labels: full })).toMatchObject({ place: "tags" });
  });

  it("are not written on clusters that do not know them", () => {
    const members = toMembers({ uuid, tags: "", labels: undefined }, plain(), false);
    expect(members).toEqual({ tags: marksInTags(plain()) });
  });
});

function plain(): OwnershipContent {
  const identity = { repository: "fleet", application: "shop", resource: "web", ordinal: 2 };
  const owned: OwnershipMark = {
    instance: "edge",
    identity,
    deployment: undefined,
    revision: undefined,
    cloudInitHash: undefined,
    building: false,
    protected: false,
  };
  return { mark: owned, vmUuid: uuid, manifestTags: [], peopleTags: [], disks: new Map(), nics: new Map() };
}

function manyDisks(): Map<string, DiskNote> {
  return new Map(
    Array.from({ length: 12 }, (_item, index) => [
      `disk-${index}`,
      { assetId: "0123456789ab", uuidPrefix: "abcdef01" },
    ]),
  );
}
