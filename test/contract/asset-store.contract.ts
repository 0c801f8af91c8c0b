import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import type { DesiredAsset } from "../../src/fleet/desired-state.ts";
import type { AssetStore } from "../../src/ports/asset-store.ts";

/** A store and a place that holds assets for it. */
export interface AssetBench extends AsyncDisposable {
  readonly store: AssetStore;
  /** Puts content behind an asset; the second time it replaces it. Fragments are appended to the URL. */
  readonly publish: (name: string, content: Buffer, fragment?: string) => Promise<DesiredAsset>;
  /** An asset nobody published. */
  readonly missing: () => DesiredAsset;
}

const signal = (): AbortSignal => AbortSignal.timeout(10_000);

/** One suite for every road an asset can come by. */
export function assetStoreContract(open: () => Promise<AssetBench>): void {
  const check = (title: string, body: (bench: AssetBench) => Promise<void>): void => {
    it(title, async () => {
      await using bench = await open();
      await body(bench);
    });
  };

  check("describes an asset by its size and a short version without handing it over", async ({ store, publish }) => {
    const asset = await publish("debian", Buffer.alloc(5000, "a"));
    const description = await store.describe(asset, "lab", signal());
    expect(description).toEqual({ sizeBytes: 5000, version: expect.stringMatching(/^[0-9a-f]{12}$/) as string });
    expect(await store.describe(asset, "lab", signal())).toEqual(description);
  });

  check("gives the whole content as a file", async ({ store, publish }) => {
    const content = Buffer.alloc(3_000_000, "content ");
    const asset = await publish("debian", content);
    const told: [number, number][] = [];
    const file = await store.fetch(asset, "lab", signal(), (done, total) => told.push([done, total]));
    expect(file.sizeBytes).toBe(content.length);
    expect((await readFile(file.path)).equals(content)).toBe(true);
    for (const [done, total] of told) expect([done <= total, total]).toEqual([true, content.length]);
  });

  check("tells of progress now and then, not for every piece", async ({ store, publish }) => {
    const asset = await publish("debian", Buffer.alloc(40_000_000, "content "));
    const began = performance.now();
    let told = 0;
    await store.fetch(asset, "lab", signal(), () => (told += 1));
    expect(told).toBeLessThanOrEqual(2 + (performance.now() - began) / 250);
  });

  check("gives another version, and the new content, once the content changed", async ({ store, publish }) => {
    const asset = await publish("debian", Buffer.from("one"));
    const before = await store.describe(asset, "lab", signal());
    await store.fetch(asset, "lab", signal());
    await publish("debian", Buffer.from("two"));
    expect((await store.describe(asset, "lab", signal())).version).not.toBe(before.version);
    expect((await readFile((await store.fetch(asset, "lab", signal())).path)).toString()).toBe("two");
  });

  check("serves many askers at once", async ({ store, publish }) => {
    const asset = await publish("debian", Buffer.alloc(100_000, "x"));
    const files = await Promise.all(Array.from({ length: 8 }, async () => store.fetch(asset, "lab", signal())));
    expect(new Set(files.map(({ path }) => path)).size).toBe(1);
  });

  check("accepts content that matches its sha256 and refuses what does not", async ({ store, publish }) => {
    const content = Buffer.from("signed");
    const hash = createHash("sha256").update(content).digest("hex");
    const good = await publish("good", content, `#sha256=${hash}`);
    expect((await store.fetch(good, "lab", signal())).sizeBytes).toBe(6);
    const bad = await publish("bad", content, `#sha256=${"0".repeat(64)}`);
    const failed = { code: "asset-corrupt", retry: "terminal", message: expect.stringContaining('"bad"') as string };
    await expect(store.fetch(bad, "lab", signal())).rejects.toMatchObject(failed);
    await expect(store.fetch(bad, "lab", signal())).rejects.toMatchObject(failed);
  });

  check("takes the hash from a checksum file, whatever its format", async ({ store, publish }) => {
    const content = Buffer.from("signed");
    const hash = createHash("sha256").update(content).digest("hex");
    const other = "0".repeat(64);
    const files: Readonly<Record<string, string>> = {
      gnu: `${other}  other.img\n${hash}  good.img\n`,
      binary: `# comment\r\n${other} *other.img\r\n${hash.toUpperCase()} *./good.img\r\n`,
      bsd: `SHA512 (good.img) = ${other}${other}\nSHA256 (other.img) = ${other}\nSHA256 (good.img) = ${hash}\n`,
      folders: `${other}  a/other.img\n${hash}  images/12/good.img\n`,
      only: `${hash}  renamed-by-the-mirror.img`,
      bare: `${hash}\n`,
    };
    for (const [name, text] of Object.entries(files)) {
      await publish(name, Buffer.from(text));
      const good = await publish("good", content, `#sha256=${name}.img`);
      expect((await store.describe(good, "lab", signal())).version, name).toBe(hash.slice(0, 12));
      expect((await store.fetch(good, "lab", signal())).sizeBytes, name).toBe(6);
    }
  });

  check("refuses content that is not what its checksum file says", async ({ store, publish }) => {
    await publish("sums", Buffer.from(`${"0".repeat(64)}  bad.img\n`));
    const bad = await publish("bad", Buffer.from("unsigned"), "#sha256=sums.img");
    await expect(store.fetch(bad, "lab", signal())).rejects.toMatchObject({
      code: "asset-corrupt",
      message: expect.stringContaining("checksum file") as string,
    });
  });

  check("says what is wrong with a checksum file", async ({ store, publish }) => {
    const [one, two] = ["1".repeat(64), "2".repeat(64)];
    const troubles: readonly (readonly [string, string, string, string])[] = [
      ["other", `${one}  a.img\n${two}  b.img\n`, "asset-missing", "none of its 2 entries is for debian.img"],
      ["twice", `${one}  debian.img\n${two}  debian.img\n`, "asset-missing", "different entries"],
      ["empty", "<html>not here</html>", "asset-missing", "holds no SHA-256"],
      ["huge", "x".repeat(2 ** 20 + 1), "asset-refused", "larger than 1048576 bytes"],
      ["absent", "", "asset-missing", "absent.img"],
    ];
    for (const [name, text, code, words] of troubles) {
      if (name !== "absent") await publish(name, Buffer.from(text));
      const asset = await publish("debian", Buffer.from("x"), `#sha256=${name}.img`);
      const failed: unknown = await store.describe(asset, "lab", signal()).catch((error: unknown) => error);
      expect(failed, name).toMatchObject({ code });
      expect(String(failed), name).toContain("checksum file");
      expect(String(failed), name).toContain('"debian"');
      expect(String(failed), name).toContain(words);
    }
  });

  check("says asset-missing of what is not there, with its name and URL", async ({ store, missing }) => {
    const asset = missing();
    for (const call of [store.describe(asset, "lab", signal()), store.fetch(asset, "lab", signal())]) {
      await expect(call).rejects.toMatchObject({
        code: "asset-missing",
        message: expect.stringContaining(asset.url) as string,
      });
    }
  });

  check("refuses a fragment it does not understand", async ({ store, publish }) => {
    const asset = await publish("debian", Buffer.from("x"), "#md5=abc");
    await expect(store.describe(asset, "lab", signal())).rejects.toMatchObject({ code: "asset-refused" });
  });

  check("leaves when its asker leaves", async ({ store, publish }) => {
    const asset = await publish("debian", Buffer.alloc(1000));
    const reason = new Error("not needed any more");
    await expect(store.fetch(asset, "lab", AbortSignal.abort(reason))).rejects.toBe(reason);
  });
}
