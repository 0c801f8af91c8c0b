import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { type ServedFile, serveFile, servedPage } from "../support/served-file.ts";
import { MiB, assetAt, patterned, sha256Of, signal, withStore } from "../support/asset-lab.ts";
import { kill, startScript } from "../support/child-process.ts";
import { waitFor } from "../support/wait-for.ts";

const script = fileURLToPath(new URL("../support/asset-fetcher.ts", import.meta.url));
const content = patterned(3 * MiB);

function bytesSent(file: ServedFile): number {
  return file.answers.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Every request asks for less than the one before. What was on its way when the connection broke counts for nothing. */
function expectGrowth(file: ServedFile): void {
  const asked = file.answers.map(({ bytes }) => bytes);
  expect(asked).toEqual([...new Set(asked)].sort((a, b) => b - a));
}

describe("a download that breaks off", () => {
  it.each([
    ["a strong ETag", { etag: '"one"' }],
    ["a date", { "last-modified": "Mon, 02 Jan 2023 10:00:00 GMT" }],
  ])("goes on where it stopped, by %s", async (_title, headers) => {
    const file = serveFile(content, { headers, breaks: [MiB, MiB] });
    await withStore({}, { "/a.img": servedPage(file) }, async ({ origin, store, files }) => {
      const fetched = await store.fetch(assetAt(`${origin}/a.img`), "lab", signal());
      expect((await readFile(fetched.path)).equals(content)).toBe(true);
      expect(file.answers.map(({ status }) => status)).toEqual([200, 206, 206]);
      expectGrowth(file);
      expect(await files("blobs")).toEqual([sha256Of(content)]);
      expect([...(await files("parts")), ...(await files("locks"))]).toEqual([]);
    });
  });

  it.each([
    ["a weak ETag", { etag: 'W/"one"' }],
    ["a date that is still news", { "last-modified": new Date(Date.now() + 3_600_000).toUTCString() }],
    ["nothing", {}],
  ])("is given up and leaves nothing when the server offers %s to go on by", async (_title, headers) => {
    const file = serveFile(content, { headers, breaks: [MiB] });
    await withStore({}, { "/a.img": servedPage(file) }, async ({ origin, store, files }) => {
      const asset = assetAt(`${origin}/a.img`);
      await expect(store.fetch(asset, "lab", signal())).rejects.toMatchObject({
        code: "asset-unavailable",
        retry: "transient",
      });
      expect([...(await files("parts")), ...(await files("blobs"))]).toEqual([]);
      const again = await store.fetch(asset, "lab", signal());
      expect((await readFile(again.path)).equals(content)).toBe(true);
    });
  });

  it("starts over on a server that knows no ranges, or has another content by then", async () => {
    const plain = serveFile(content, { breaks: [MiB], knowsRanges: false });
    const changing = serveFile(content, { breaks: [MiB] });
    const other = Buffer.alloc(2 * MiB, "b");
    const page = servedPage(changing);
    const pages = {
      "/plain.img": servedPage(plain),
      "/changing.img": ((message, response) => {
        if (message.headers.range !== undefined)
          Object.assign(changing, { content: other, headers: { etag: '"two"' } });
        page(message, response);
      }) satisfies typeof page,
    };
    await withStore({}, pages, async ({ origin, store, files }) => {
      const first = await store.fetch(assetAt(`${origin}/plain.img`), "lab", signal());
      expect((await readFile(first.path)).equals(content)).toBe(true);
      expect(plain.answers.map(({ status }) => status)).toEqual([200, 200]);
      const second = await store.fetch(assetAt(`${origin}/changing.img`), "lab", signal());
      expect((await readFile(second.path)).equals(other)).toBe(true);
      expect(await files("parts")).toEqual([]);
    });
  });

  it("starts over when a part of it turns out wrong, before it says that the content is", async () => {
    const file = serveFile(content, { breaks: [MiB, 0] });
    await withStore({}, { "/a.img": servedPage(file) }, async ({ origin, store, files, cache }) => {
      const asset = assetAt(`${origin}/a.img#sha256=${sha256Of(content)}`);
      await expect(store.fetch(asset, "lab", signal())).rejects.toMatchObject({ code: "asset-unavailable" });
      const [part = ""] = (await files("parts")).filter((name) => name.endsWith(".part"));
      await writeFile(join(cache, "parts", part), Buffer.alloc(MiB, "damaged"));
      expect((await readFile((await store.fetch(asset, "lab", signal())).path)).equals(content)).toBe(true);
    });
  });

  it("is given up after a few times, and goes on with the next call", async () => {
    const long = patterned(8 * MiB);
    const file = serveFile(long, { breaks: Array.from({ length: 7 }, () => MiB) });
    await withStore({}, { "/a.img": servedPage(file) }, async ({ origin, store }) => {
      const asset = assetAt(`${origin}/a.img`);
      await expect(store.fetch(asset, "lab", signal())).rejects.toMatchObject({ code: "asset-unavailable" });
      expect(file.answers.map(({ status }) => status)).toEqual([200, 206, 206, 206, 206, 206]);
      expect((await readFile((await store.fetch(asset, "lab", signal())).path)).equals(long)).toBe(true);
      expectGrowth(file);
    });
  });

  it("is kept when its asker leaves, for the next one", async () => {
    let release = (): void => {};
    const hold = { afterBytes: MiB, release: new Promise<void>((resolve) => (release = resolve)) };
    const file = serveFile(content, { hold });
    await withStore({}, { "/a.img": servedPage(file) }, async ({ origin, store }) => {
      const asset = assetAt(`${origin}/a.img`);
      const asker = new AbortController();
      const reason = new Error("not needed any more");
      const left = store.fetch(asset, "lab", asker.signal, (done) => done > 0 && asker.abort(reason));
      await expect(left).rejects.toBe(reason);
      release();
      expect((await readFile((await store.fetch(asset, "lab", signal())).path)).equals(content)).toBe(true);
      expect(file.answers.at(-1)).toMatchObject({ status: 206 });
    });
  });
});

describe("several processes", () => {
  const large = patterned(48 * MiB);

  it("download an asset once between them", async () => {
    let release = (): void => {};
    const hold = { afterBytes: 40 * MiB, release: new Promise<void>((resolve) => (release = resolve)) };
    const file = serveFile(large, { hold });
    await withStore({}, { "/a.img": servedPage(file) }, async ({ origin, cache, files }) => {
      const asset = assetAt(`${origin}/a.img`);
      const order = JSON.stringify({ options: { cacheDir: cache, mirrors: [], allowHttp: true }, asset });
      // The one that waits tells how far the other is.
      const both = await Promise.all([1, 2].map(() => startScript(script, [order], /at \d/)));
      const ends = both.map(({ child }) => once(child, "exit"));
      release();
      expect(await Promise.all(ends)).toEqual([
        [0, null],
        [0, null],
      ]);
      expect(bytesSent(file)).toBe(large.length);
      expect(await files("blobs")).toEqual([sha256Of(large)]);
    });
  });

  it("take over from one that is killed, and go on where it stopped", async () => {
    let release = (): void => {};
    const hold = { afterBytes: 40 * MiB, release: new Promise<void>((resolve) => (release = resolve)) };
    const file = serveFile(large, { hold });
    await withStore({}, { "/a.img": servedPage(file) }, async ({ origin, cache, store, files }) => {
      const asset = assetAt(`${origin}/a.img`);
      const order = JSON.stringify({ options: { cacheDir: cache, mirrors: [], allowHttp: true }, asset });
      const { child } = await startScript(script, [order], /at \d/);
      const safeBytes = async (): Promise<number> => {
        const [name = "none"] = (await files("parts")).filter((each) => each.endsWith(".json"));
        const text = await readFile(join(cache, "parts", name), "utf8").catch(() => "");
        return Number(/"safeBytes":(\d+)/.exec(text)?.[1] ?? 0);
      };
      const safe = await waitFor(async () => (await safeBytes()) || undefined, { what: "the first bytes to be safe" });
      let waits = false;
      const fetching = store.fetch(asset, "lab", signal(), () => (waits = true));
      await waitFor(() => (waits ? true : undefined), { what: "the second process to wait" });
      await kill(child);
      release();
      expect((await readFile((await fetching).path)).equals(large)).toBe(true);
      expect(file.answers.map(({ range }) => range)).toEqual([undefined, `bytes=${safe}-`]);
    });
  });
});
