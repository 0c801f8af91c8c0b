import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CatFile } from "../../src/adapters/git/cat-file.ts";
import { TestRepository, temporaryFolder } from "../support/git-repository.ts";

function signal(): AbortSignal {
  return AbortSignal.timeout(20_000);
}

describe.each([
  ["one process with --batch-command (git 2.36 and newer)", true],
  ["a process each for sizes and contents (older git)", false],
])("reading objects by %s", (_title, batchCommand) => {
  async function setUp() {
    const folder = await temporaryFolder();
    const repository = await TestRepository.create(join(folder.path, "fleet.git"));
    const tip = await repository.commit({ "a b.yaml": "text\n", large: Buffer.alloc(2_000_000, "x") });
    const env = { PATH: process.env["PATH"] ?? "", GIT_DIR: repository.path };
    const reader = new CatFile({ cwd: folder.path, env, batchCommand, timeoutMs: 10_000 });
    const dispose = async (): Promise<void> => {
      await reader[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    };
    return { reader, tip, repository, [Symbol.asyncDispose]: dispose };
  }

  it("answers in the order asked, with gaps for what is not there", async () => {
    await using made = await setUp();
    const names = [`${made.tip}:a b.yaml`, `${made.tip}:nothing`, "f".repeat(40), made.tip];
    const infos = await made.reader.info(names, signal());
    expect(infos.map((info) => [info?.type, info?.type === "blob" ? info.sizeBytes : undefined])).toEqual([
      ["blob", 5],
      [undefined, undefined],
      [undefined, undefined],
      ["commit", undefined],
    ]);
    const [blob, absent] = await made.reader.contents(names, signal());
    expect(Buffer.from(blob?.bytes ?? []).toString()).toBe("text\n");
    expect(absent).toBeUndefined();
  });

  it("sees objects that came after it started", async () => {
    await using made = await setUp();
    await made.reader.info([made.tip], signal());
    const later = await made.repository.commit({ c: "later" });
    expect((await made.reader.contents([`${later}:c`], signal()))[0]?.sizeBytes).toBe(5);
  });

  it("starts again after an abort in the middle and after a restart", async () => {
    await using made = await setUp();
    const controller = new AbortController();
    const names = Array.from({ length: 20 }, () => `${made.tip}:large`);
    const reading = made.reader.contents(names, controller.signal);
    setImmediate(() => controller.abort(new Error("enough")));
    await expect(reading).rejects.toThrow("enough");
    expect((await made.reader.contents([`${made.tip}:large`], signal()))[0]?.bytes).toHaveLength(2_000_000);
    await made.reader.restart();
    expect((await made.reader.info([made.tip], signal()))[0]?.type).toBe("commit");
  });

  it("says so when the repository is gone", async () => {
    await using made = await setUp();
    const reader = new CatFile({
      cwd: "/",
      env: { PATH: process.env["PATH"] ?? "", GIT_DIR: "/nonexistent" },
      batchCommand,
      timeoutMs: 10_000,
    });
    await expect(reader.info([made.tip], signal())).rejects.toMatchObject({ code: "git-failed" });
    await reader[Symbol.asyncDispose]();
  });
});
