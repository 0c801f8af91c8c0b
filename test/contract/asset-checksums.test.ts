import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { type Page, filePage, redirectPage } from "../support/web-server.ts";
import { assetAt, sha256Of, signal, withStore } from "../support/asset-lab.ts";

describe("checksum files", () => {
  const content = Buffer.from("signed");
  const sums = filePage(Buffer.from(`${sha256Of(content)}  a.img\n`));

  it("come through mirrors like assets", async () => {
    const pages = { "/deep/a.img": filePage(content), "/deep/SUMS": sums, "/a.img": filePage(content) };
    await withStore({}, pages, async ({ origin, open, asked, folder }) => {
      const mirrors = [{ prefix: "https://far.example/", to: `${origin}/deep/` }];
      await using mirrored = await open({ mirrors, allowHttp: false });
      await mirrored.fetch(assetAt("https://far.example/a.img#sha256=SUMS"), "lab", signal());
      expect(asked).toContain("GET /deep/SUMS");
      await using split = await open({
        mirrors: [{ prefix: "https://sums.example/", to: pathToFileURL(`${folder}/`).href }],
      });
      await writeFile(join(folder, "SUMS"), `${sha256Of(content)}  a.img\n`);
      const far = assetAt(`${origin}/a.img#sha256=https://sums.example/SUMS`);
      expect(await split.describe(far, "lab", signal())).toMatchObject({ version: sha256Of(content).slice(0, 12) });
    });
  });

  it("are read anew, so that a new list means a new version", async () => {
    const pages: Record<string, Page> = { "/a.img": filePage(content), "/SUMS": sums };
    await withStore({}, pages, async ({ origin, store }) => {
      const asset = assetAt(`${origin}/a.img#sha256=SUMS`);
      await store.fetch(asset, "lab", signal());
      pages["/SUMS"] = filePage(Buffer.from(`${"0".repeat(64)}  a.img\n`));
      await expect(store.fetch(asset, "lab", signal())).rejects.toMatchObject({ code: "asset-corrupt" });
    });
  });

  it("are never read from metadata addresses, and not from private or plain ones where those are not allowed", async () => {
    const pages = {
      "/a.img": filePage(content),
      "/moved": redirectPage("http://169.254.169.254/latest/SUMS"),
      "/SUMS": sums,
    };
    await withStore({}, pages, async ({ origin, open, store }) => {
      const refused = { code: "asset-refused", message: expect.stringContaining("checksum file") as string };
      for (const file of ["moved", "http://169.254.169.254/SUMS"]) {
        const asset = assetAt(`${origin}/a.img#sha256=${file}`);
        await expect(store.describe(asset, "lab", signal())).rejects.toMatchObject(refused);
      }
      const far = assetAt(`https://far.example/a.img#sha256=${origin}/SUMS`);
      const mirrors = [{ prefix: "https://far.example/", to: `${origin}/` }];
      await using careful = await open({ denyPrivate: true, mirrors });
      await expect(careful.describe(far, "lab", signal())).rejects.toMatchObject(refused);
      await using strict = await open({ allowHttp: false, mirrors });
      await expect(strict.describe(far, "lab", signal())).rejects.toMatchObject({ code: "asset-refused" });
    });
  });

  it("end when the server drips", async () => {
    const page: Page = (_message, response) => {
      response.writeHead(200, { "content-length": "1000" });
      const drip = setInterval(() => response.write("x"), 20);
      response.once("close", () => clearInterval(drip));
    };
    await withStore({ stallMs: 300 }, { "/a.img": filePage(content), "/SUMS": page }, async ({ origin, store }) => {
      await expect(store.describe(assetAt(`${origin}/a.img#sha256=SUMS`), "lab", signal())).rejects.toMatchObject({
        code: "asset-unavailable",
      });
    });
  });
});
