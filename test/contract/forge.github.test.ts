import { startGithubBench } from "../support/github-bench.ts";
import { forgeContract } from "./forge.contract.ts";

forgeContract("github", startGithubBench);
