import { readFile, rm, stat, truncate, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Page, filePage } from "../support/web-server.ts";
import { MiB, assetAt, patterned, sha256Of, signal, withStore } from "../support/asset-lab.ts";
import { waitFor } from "../support/wait-for.ts";

const hour = 3_600_000;

/** Pages `/<name>.img` of 1 MiB each, every one another content. */
function images(...names: readonly string[]): Record<string, Page> {
  return Object.fromEntries(
    names.map((name) => [`/${name}.img`, filePage(Buffer.alloc(MiB, name), { etag: `"${name}"` })]),
  );
}

/** Lets a kept file look as if it had been used last so long ago. */
async function age(path: string, ms: number): Promise<void> {
  const when = new Date(Date.now() - ms);
  await utimes(path, when, when);
}

function gets(asked: readonly string[]): number {
  return asked.filter((call) => call.startsWith("GET")).length;
}

describe("the cache", () => {
  it("keeps the same content of two URLs once", async () => {
    const content = patterned(MiB);
    const pages = { "/a.img": filePage(content, { etag: '"a"' }), "/b.qcow2": filePage(content, { etag: '"b"' }) };
    await withStore({}, pages, async ({ origin, asked, store, files }) => {
      const one = await store.fetch(assetAt(`${origin}/a.img`), "lab", signal());
      const two = await store.fetch(assetAt(`${origin}/b.qcow2`), "lab", signal());
      expect(two).toEqual(one);
      expect(await files("blobs")).toEqual([sha256Of(content)]);
      await store.fetch(assetAt(`${origin}/a.img`), "lab", signal());
      await store.fetch(assetAt(`${origin}/b.qcow2`), "lab", signal());
      await store.fetch(assetAt(`${origin}/b.qcow2#sha256=${sha256Of(content)}`), "lab", signal());
      expect(gets(asked)).toBe(2);
    });
  });

  it("needs no server for a content whose hash is given", async () => {
    const content = patterned(MiB);
    const pages: Record<string, Page> = { "/a.img": filePage(content) };
    await withStore({}, pages, async ({ origin, store, open }) => {
      const asset = assetAt(`${origin}/a.img#sha256=${sha256Of(content)}`);
      const fetched = await store.fetch(asset, "lab", signal());
      delete pages["/a.img"];
      await using again = await open();
      expect(await again.fetch(asset, "lab", signal())).toEqual(fetched);
      expect(await again.describe(asset, "lab", signal())).toMatchObject({ sizeBytes: MiB });
    });
  });

  const damages: readonly (readonly [string, (path: string) => Promise<void>])[] = [
    ["was cut off", (path) => truncate(path, 1000)],
    ["is gone", (path) => rm(path)],
    ["holds something else", (path) => writeFile(path, Buffer.alloc(MiB, "damaged"))],
  ];
  it.each(damages)("fetches again what %s while nobody looked", async (_title, damage) => {
    await withStore({}, images("a"), async ({ origin, asked, store, open }) => {
      const asset = assetAt(`${origin}/a.img`);
      const { path } = await store.fetch(asset, "lab", signal());
      await damage(path);
      await using again = await open();
      const fetched = await again.fetch(asset, "lab", signal());
      expect((await readFile(fetched.path)).equals(Buffer.alloc(MiB, "a"))).toBe(true);
      expect(gets(asked)).toBe(2);
    });
  });

  it("notices a cut-off file in the middle of its life, and a broken index", async () => {
    await withStore({}, images("a"), async ({ origin, store, cache, files }) => {
      const asset = assetAt(`${origin}/a.img`);
      const { path } = await store.fetch(asset, "lab", signal());
      await truncate(path, 1000);
      expect(await store.fetch(asset, "lab", signal())).toMatchObject({ sizeBytes: MiB });
      const [key = ""] = await files("index");
      await writeFile(join(cache, "index", key), "abc");
      expect(await store.fetch(asset, "lab", signal())).toMatchObject({ sizeBytes: MiB });
      expect(await readFile(join(cache, "index", key), "utf8")).toBe(`${sha256Of(Buffer.alloc(MiB, "a"))}\n`);
    });
  });
});

describe("room in the cache", () => {
  it("is made by evicting what was used longest ago", async () => {
    await withStore({ cacheMaxBytes: 3 * MiB }, images("a", "b", "c", "d"), async ({ origin, asked, store, files }) => {
      const fetch = async (name: string): Promise<string> =>
        (await store.fetch(assetAt(`${origin}/${name}.img`), "lab", signal())).path;
      await age(await fetch("a"), 4 * hour);
      await age(await fetch("b"), 3 * hour);
      await age(await fetch("c"), 2 * hour);
      // Used again, so that b is the oldest now.
      await fetch("a");
      await fetch("d");
      const left = ["a", "c", "d"].map((name) => sha256Of(Buffer.alloc(MiB, name)));
      expect(await files("blobs")).toEqual(left.toSorted());
      expect(await files("index")).toHaveLength(3);
      const before = gets(asked);
      await fetch("b");
      expect(gets(asked)).toBe(before + 1);
    });
  });

  it("is not made by evicting what was used within the hour, by whichever process", async () => {
    await withStore({ cacheMaxBytes: 2 * MiB }, images("a", "b", "c"), async ({ origin, store, open, files }) => {
      await store.fetch(assetAt(`${origin}/a.img`), "lab", signal());
      const { path } = await store.fetch(assetAt(`${origin}/b.img`), "lab", signal());
      await age(path, hour - 60_000);
      await using other = await open();
      const failed: unknown = await other.fetch(assetAt(`${origin}/c.img`), "lab", signal()).catch((e: unknown) => e);
      expect(failed).toMatchObject({ code: "asset-no-room", retry: "transient" });
      expect(String(failed)).toMatch(/"debian".*needs 1 MiB, but 2 MiB of the 2 MiB of assets\.cache\.maxSize/);
      expect([(await files("blobs")).length, (await files("parts")).length]).toEqual([2, 0]);
      await age(path, hour + 60_000);
      await other.fetch(assetAt(`${origin}/c.img`), "lab", signal());
      expect(await files("blobs")).toHaveLength(2);
    });
  });

  it("is not made by evicting what somebody still uses, however long ago it was fetched", async () => {
    const options = { cacheMaxBytes: MiB, useBeatMs: 20 };
    await withStore(options, images("a", "b"), async ({ origin, store, open }) => {
      const user = new AbortController();
      const { path } = await store.fetch(assetAt(`${origin}/a.img`), "lab", user.signal);
      await age(path, 10 * hour);
      await waitFor(async () => (Date.now() - (await stat(path)).mtimeMs < hour ? true : undefined), {
        what: "the content in use to be marked again",
      });
      await using other = await open();
      const wanted = assetAt(`${origin}/b.img`);
      await expect(other.fetch(wanted, "lab", signal())).rejects.toMatchObject({ code: "asset-no-room" });
      user.abort();
      // A beat may be under way, so the mark is set back until it stays.
      await waitFor(
        async () => {
          await age(path, 10 * hour).catch(() => {});
          return other.fetch(wanted, "lab", signal()).catch(() => undefined);
        },
        { what: "the content to be evicted once its user has left" },
      );
    });
  });

  it("counts downloads under way with what they will be", async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    let begun = false;
    const slow: Page = (message, response) => {
      response.writeHead(200, { "content-length": String(MiB), etag: '"slow"' });
      if (message.method === "HEAD") response.end();
      else response.write("s".repeat(1000), () => (begun = true));
      if (message.method !== "HEAD") void held.then(() => response.end("s".repeat(MiB - 1000)));
    };
    const pages = { ...images("a"), "/slow.img": slow };
    await withStore({ cacheMaxBytes: 1.5 * MiB }, pages, async ({ origin, store, open }) => {
      const first = store.fetch(assetAt(`${origin}/slow.img`), "lab", signal());
      await waitFor(() => (begun ? true : undefined), { what: "the slow download to begin" });
      await using other = await open();
      const second = other.fetch(assetAt(`${origin}/a.img`), "lab", signal());
      await expect(second).rejects.toMatchObject({ code: "asset-no-room" });
      release();
      expect((await first).sizeBytes).toBe(MiB);
    });
  });

  it("is never enough for what is larger than the cache", async () => {
    await withStore({ cacheMaxBytes: MiB - 1 }, images("a"), async ({ origin, asked, store }) => {
      await expect(store.fetch(assetAt(`${origin}/a.img`), "lab", signal())).rejects.toMatchObject({
        code: "asset-refused",
        message: expect.stringContaining("assets.cache.maxSize") as string,
      });
      expect(gets(asked)).toBe(0);
    });
  });

  it("is looked for on the disk before a download begins", async () => {
    let freeBytes = 256 * MiB + 1000;
    const options = { freeBytes: () => Promise.resolve(freeBytes) };
    await withStore(options, images("a"), async ({ origin, asked, store, files }) => {
      const asset = assetAt(`${origin}/a.img`);
      const failed: unknown = await store.fetch(asset, "lab", signal()).catch((error: unknown) => error);
      expect(failed).toMatchObject({ code: "asset-no-room", retry: "transient" });
      expect(String(failed)).toMatch(/"debian".*needs 1 MiB and 256 MiB to spare, but 256\.0 MiB are free/);
      expect([gets(asked), (await files("parts")).length]).toEqual([0, 0]);
      freeBytes += MiB;
      await store.fetch(asset, "lab", signal());
    });
  });
});
