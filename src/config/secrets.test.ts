import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { secretInEnvironment, secretInFile } from "./secrets.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "kraken-gitops-secrets-"));
});
afterEach(() => rm(folder, { recursive: true }));

it("reads a file anew each time, without one trailing newline", async () => {
  const file = path.join(folder, "token");
  const secret = secretInFile(file);
  await writeFile(file, "one \n");
  expect(await secret.read()).toBe("one ");
  await writeFile(file, "two\r\n");
  expect(await secret.read()).toBe("two");
});

it("says which secret is missing or empty", async () => {
  await expect(secretInFile(path.join(folder, "none")).read()).rejects.toThrow(/cannot read the secret in file .*none/);
  await expect(secretInEnvironment("NONE", {}).read()).rejects.toThrow(/environment variable NONE is empty or not set/);
});

it("shows where it comes from when it is printed", () => {
  expect(JSON.stringify({ token: secretInEnvironment("T", { T: "planted" }) })).toBe(
    '{"token":"(environment variable T)"}',
  );
});
