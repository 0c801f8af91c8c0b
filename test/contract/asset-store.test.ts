import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { openAssetStore } from "../../src/adapters/assets/asset-store.ts";
import { assetAt, signal, temporaryFolder, withStore } from "../support/asset-lab.ts";
import {
  type Page,
  filePage,
  rangesOnlyPage,
  redirectPage,
  startWebServer,
  statusPage,
} from "../support/web-server.ts";
import { type AssetBench, assetStoreContract } from "./asset-store.contract.ts";

async function webBench(): Promise<AssetBench> {
  const folder = await temporaryFolder();
  const pages: Record<string, Page> = {};
  const server = await startWebServer(pages);
  const store = await openAssetStore({ cacheDir: join(folder.path, "cache"), mirrors: [], allowHttp: true });
  return {
    store,
    publish: async (name, content, fragment = "") => {
      pages[`/${name}.img`] = filePage(content, { etag: `"${createHash("sha256").update(content).digest("hex")}"` });
      return assetAt(`${server.origin}/${name}.img${fragment}`, name);
    },
    missing: () => assetAt(`${server.origin}/gone.img`, "gone"),
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

async function localBench(): Promise<AssetBench> {
  const folder = await temporaryFolder();
  const images = join(folder.path, "images");
  await mkdir(images);
  const mirrors = [{ prefix: "https://images.example/", to: pathToFileURL(`${images}/`).href }];
  const store = await openAssetStore({ cacheDir: join(folder.path, "cache"), mirrors, allowHttp: false });
  return {
    store,
    publish: async (name, content, fragment = "") => {
      await writeFile(join(images, `${name}.img`), content);
      return assetAt(`https://images.example/${name}.img${fragment}`, name);
    },
    missing: () => assetAt("https://images.example/gone.img", "gone"),
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

describe("assets from the web", () => {
  assetStoreContract(webBench);
});

describe("assets from a local mirror", () => {
  assetStoreContract(localBench);
});

it("downloads a content once, also after a restart, and keeps nothing half", async () => {
  const pages = { "/a.img": filePage(Buffer.alloc(50_000, "a"), { etag: '"1"' }) };
  await withStore({}, pages, async ({ origin, asked, store, open, files }) => {
    const asset = assetAt(`${origin}/a.img`);
    await Promise.all([store.fetch(asset, "lab", signal()), store.fetch(asset, "store-2", signal())]);
    await store.fetch(asset, "lab", signal());
    await using again = await open();
    await again.fetch(asset, "lab", signal());
    expect(asked.filter((call) => call.startsWith("GET"))).toEqual(["GET /a.img"]);
    expect([await files("blobs"), await files("parts"), await files("locks")].map(({ length }) => length)).toEqual([
      1, 0, 0,
    ]);
  });
});

it("keeps nothing of a download that broke off for good, or is not what its hash says", async () => {
  const pages = {
    "/broken.img": ((message, response) => {
      response.writeHead(200, { "content-length": "1000" });
      if (message.method === "HEAD") response.end();
      else response.write("half", () => response.socket?.destroy());
    }) satisfies Page,
    "/other.img": filePage(Buffer.from("not it")),
  };
  await withStore({}, pages, async ({ origin, store, files }) => {
    await expect(store.fetch(assetAt(`${origin}/broken.img`), "lab", signal())).rejects.toMatchObject({
      code: "asset-unavailable",
      retry: "transient",
    });
    await expect(
      store.fetch(assetAt(`${origin}/other.img#sha256=${"0".repeat(64)}`), "lab", signal()),
    ).rejects.toMatchObject({ code: "asset-corrupt" });
    expect([...(await files("blobs")), ...(await files("parts")), ...(await files("index"))]).toEqual([]);
  });
});

it("refuses an asset whose size nobody knows", async () => {
  const page: Page = (message, response) => {
    if (message.method !== "HEAD") response.write("x");
    response.end();
  };
  await withStore({}, { "/a.img": page }, async ({ origin, store }) => {
    await expect(store.fetch(assetAt(`${origin}/a.img`), "lab", signal())).rejects.toMatchObject({
      code: "asset-refused",
      message: expect.stringContaining("how large") as string,
    });
  });
});

it("removes leftovers of crashed downloads, and files of an earlier layout, when they are old enough", async () => {
  await using folder = await temporaryFolder();
  const earlier = `${"a".repeat(32)}.qcow2`;
  await mkdir(join(folder.path, "parts"));
  for (const name of ["x.part", earlier, "parts/a.part", "parts/a.json", "notes.txt"]) {
    await writeFile(join(folder.path, name), "x");
    await utimes(join(folder.path, name), 1, 1);
  }
  for (const name of ["y.part", "parts/b.part"]) await writeFile(join(folder.path, name), "x");
  // One of its two files is young.
  await writeFile(join(folder.path, "parts/c.part"), "x");
  await writeFile(join(folder.path, "parts/c.json"), "x");
  await utimes(join(folder.path, "parts/c.json"), 1, 1);
  await using store = await openAssetStore({ cacheDir: folder.path, mirrors: [], allowHttp: true });
  expect(store).toBeDefined();
  expect((await readdir(folder.path)).toSorted()).toEqual(["locks", "notes.txt", "parts", "y.part"]);
  expect((await readdir(join(folder.path, "parts"))).toSorted()).toEqual(["b.part", "c.json", "c.part"]);
});

it("asks servers that do not know HEAD for one byte", async () => {
  await withStore({}, { "/a.img": rangesOnlyPage(Buffer.alloc(700)) }, async ({ origin, store }) => {
    expect(await store.describe(assetAt(`${origin}/a.img`), "lab", signal())).toMatchObject({ sizeBytes: 700 });
    expect(await store.fetch(assetAt(`${origin}/a.img`), "lab", signal())).toMatchObject({ sizeBytes: 700 });
  });
});

it("follows a few redirects and no endless ones", async () => {
  const pages = {
    "/a.img": redirectPage("/b.img"),
    "/b.img": filePage(Buffer.from("here")),
    "/loop.img": redirectPage("/loop.img"),
    "/file.img": redirectPage("file:///etc/passwd"),
  };
  await withStore({}, pages, async ({ origin, store }) => {
    expect((await readFile((await store.fetch(assetAt(`${origin}/a.img`), "lab", signal())).path)).toString()).toBe(
      "here",
    );
    await expect(store.describe(assetAt(`${origin}/loop.img`), "lab", signal())).rejects.toMatchObject({
      code: "asset-unavailable",
    });
    await expect(store.describe(assetAt(`${origin}/file.img`), "lab", signal())).rejects.toMatchObject({
      code: "asset-refused",
    });
  });
});

const statuses: readonly [number, string][] = [
  [404, "asset-missing"],
  [410, "asset-missing"],
  [401, "asset-refused"],
  [403, "asset-refused"],
  [429, "asset-unavailable"],
  [500, "asset-unavailable"],
  [503, "asset-unavailable"],
];
for (const [status, code] of statuses) {
  it(`says ${code} when the server answers ${status}`, async () => {
    await withStore({}, { "/a.img": statusPage(status) }, async ({ origin, store }) => {
      await expect(store.fetch(assetAt(`${origin}/a.img`), "lab", signal())).rejects.toMatchObject({ code });
    });
  });
}

it("gives up on a server that accepts and never answers", async () => {
  await withStore({ stallMs: 150 }, { "/a.img": () => {} }, async ({ origin, store }) => {
    await expect(store.describe(assetAt(`${origin}/a.img`), "lab", signal())).rejects.toMatchObject({
      code: "asset-unavailable",
    });
  });
});

it("refuses metadata and link-local addresses, whatever the configuration, also behind a redirect", async () => {
  const pages = { "/a.img": redirectPage("http://169.254.169.254/latest/meta-data/") };
  await withStore(
    { mirrors: [{ prefix: "https://m.example/", to: "http://[fd00:ec2::254]/" }] },
    pages,
    async ({ origin, store }) => {
      for (const url of [
        "http://169.254.169.254/x.img",
        "http://[::ffff:169.254.1.1]/x.img",
        "http://[fe80::1]/x.img",
        `${origin}/a.img`,
        "https://m.example/x.img",
      ]) {
        await expect(store.describe(assetAt(url), "lab", signal())).rejects.toMatchObject({ code: "asset-refused" });
      }
    },
  );
});

it("refuses private addresses of manifests where told to, by name too, and lets mirrors use them", async () => {
  const pages = { "/a.img": filePage(Buffer.from("x")) };
  await withStore({ denyPrivate: true }, pages, async ({ origin, asked, store }) => {
    const byName = origin.replace("127.0.0.1", "localhost");
    for (const url of [`${origin}/a.img`, `${byName}/a.img`]) {
      await expect(store.describe(assetAt(url), "lab", signal())).rejects.toMatchObject({ code: "asset-refused" });
    }
    expect(asked).toEqual([]);
    const mirrors = [{ prefix: "https://far.example/", to: `${origin}/` }];
    await withStore({ denyPrivate: true, mirrors }, {}, async ({ store: mirrored }) => {
      expect(await mirrored.describe(assetAt("https://far.example/a.img"), "lab", signal())).toMatchObject({
        sizeBytes: 1,
      });
    });
  });
});

it("refuses http, file and other URLs in manifests unless http is allowed", async () => {
  await withStore({ allowHttp: false }, {}, async ({ origin, asked, store }) => {
    for (const url of [`${origin}/a.img`, "file:///etc/passwd", "ftp://images.example/a.img", "a.img"]) {
      await expect(store.describe(assetAt(url), "lab", signal())).rejects.toMatchObject({ code: "asset-refused" });
    }
    expect(asked).toEqual([]);
  });
});

it("refuses what is larger than the limit before fetching it", async () => {
  await withStore({ maxBytes: 10 }, { "/a.img": filePage(Buffer.alloc(11)) }, async ({ origin, asked, store }) => {
    await expect(store.describe(assetAt(`${origin}/a.img`), "lab", signal())).rejects.toMatchObject({
      code: "asset-refused",
    });
    await expect(store.fetch(assetAt(`${origin}/a.img`), "lab", signal())).rejects.toMatchObject({
      code: "asset-refused",
    });
    expect(asked.filter((call) => call.startsWith("GET"))).toEqual([]);
  });
});

it("prefers a cluster's own mirror, then the longest prefix", async () => {
  await using folder = await temporaryFolder();
  const to = async (name: string): Promise<string> => {
    await mkdir(join(folder.path, name, "deep"), { recursive: true });
    await writeFile(join(folder.path, name, "a.img"), name);
    await writeFile(join(folder.path, name, "deep", "a.img"), name);
    return pathToFileURL(`${join(folder.path, name)}/`).href;
  };
  const mirrors = [
    { prefix: "https://far.example/", to: await to("all") },
    { prefix: "https://far.example/deep/", to: await to("deep") },
    { prefix: "https://far.example/", to: await to("store"), clusters: ["store-1"] },
  ];
  await using store = await openAssetStore({ cacheDir: join(folder.path, "cache"), mirrors, allowHttp: false });
  const read = async (url: string, cluster: string): Promise<string> =>
    (await readFile((await store.fetch(assetAt(url), cluster, signal())).path)).toString();
  expect(await read("https://far.example/a.img", "lab")).toBe("all");
  expect(await read("https://far.example/deep/a.img", "lab")).toBe("deep");
  expect(await read("https://far.example/deep/a.img", "store-1")).toBe("store");
});

it("never leaves the folder of a local mirror", async () => {
  await using folder = await temporaryFolder();
  await mkdir(join(folder.path, "images"));
  await writeFile(join(folder.path, "secret"), "secret");
  await symlink(join(folder.path, "secret"), join(folder.path, "images", "link.img"));
  const mirrors = [{ prefix: "https://far.example/", to: pathToFileURL(`${join(folder.path, "images")}/`).href }];
  await using store = await openAssetStore({ cacheDir: join(folder.path, "cache"), mirrors, allowHttp: false });
  for (const tail of ["../secret", "%2e%2e/secret", "..%2fsecret", "link.img", "", "%ff"]) {
    await expect(store.fetch(assetAt(`https://far.example/${tail}`), "lab", signal())).rejects.toMatchObject({
      code: "asset-refused",
    });
  }
});

it("shows no credentials of a URL in its errors", async () => {
  await withStore({}, { "/a.img": statusPage(403) }, async ({ origin, store }) => {
    const url = `${origin.replace("//", "//user:planted-secret@")}/a.img?token=planted-secret`;
    const error: unknown = await store.describe(assetAt(url), "lab", signal()).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "asset-refused" });
    expect(String(error)).not.toContain("planted-secret");
  });
});
