import { startGiteaBench } from "../support/gitea-bench.ts";
import { forgeContract } from "./forge.contract.ts";

forgeContract("gitea", () => startGiteaBench("gitea"));
forgeContract("forgejo", () => startGiteaBench("forgejo"));
