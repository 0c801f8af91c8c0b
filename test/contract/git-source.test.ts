import { join } from "node:path";
import { describe } from "vitest";
import { openGitSource } from "../../src/adapters/git/simple-git-source.ts";
import { gitSourceContract } from "./git-source.contract.ts";

describe("simple-git on a folder", () => {
  gitSourceContract(({ root, name, ...rest }) => openGitSource({ ...rest, url: join(root, name) }));
});
