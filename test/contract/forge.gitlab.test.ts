import { startGitlabBench } from "../support/gitlab-bench.ts";
import { forgeContract } from "./forge.contract.ts";

forgeContract("gitlab", startGitlabBench);
