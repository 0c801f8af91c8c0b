import { describe, expect, it } from "vitest";
import { localEnvironment, networkEnvironment } from "./git-environment.ts";
import { parseRemote } from "./git-remote.ts";

const inherited = {
  PATH: "/bin",
  GIT_DIR: "/elsewhere",
  GIT_CONFIG_PARAMETERS: "x",
  HTTPS_PROXY: "http://proxy:1",
  SECRET: "s",
};
const base = { gitDir: "/m", timeoutMs: 30_000, inherited };
const auth = { kind: "token", token: () => Promise.resolve("t") } as const;

describe("git's environment", () => {
  it("passes on what a child needs and nothing else", () => {
    const environment = networkEnvironment({ ...base, remote: parseRemote("https://host/x") });
    expect(environment).toMatchObject({
      PATH: "/bin",
      HTTPS_PROXY: "http://proxy:1",
      GIT_DIR: "/m",
      GIT_TERMINAL_PROMPT: "0",
    });
    expect(environment).not.toHaveProperty("SECRET");
    expect(environment).not.toHaveProperty("GIT_CONFIG_PARAMETERS");
  });

  it.each([
    ["https://host/x", "https"],
    ["http://host/x", "http:https"],
    ["/srv/x.git", "file"],
    ["git@host:x", "ssh"],
  ])("allows %s its own protocol alone", (url, protocols) => {
    const remote = parseRemote(url);
    expect(networkEnvironment({ ...base, remote })["GIT_ALLOW_PROTOCOL"]).toBe(protocols);
    expect(localEnvironment({ ...base, remote })["GIT_ALLOW_PROTOCOL"]).toBe("");
  });

  it("offers the token to the configured origin only, and to network calls only", () => {
    const remote = parseRemote("https://host:8443/x");
    const options = { ...base, remote, auth, proxy: "http://user:pass@proxy" };
    expect(Object.values(networkEnvironment(options))).toContain("credential.https://host:8443.helper");
    const local = Object.values(localEnvironment(options)).join("\n");
    expect(local).not.toMatch(/credential|pass@/);
  });

  it("counts its settings right", () => {
    const environment = networkEnvironment({ ...base, remote: parseRemote("https://host/x"), auth, caFile: "/ca" });
    const keys = Object.keys(environment).filter((name) => name.startsWith("GIT_CONFIG_KEY_"));
    expect(keys).toHaveLength(Number(environment["GIT_CONFIG_COUNT"]));
  });

  it("quotes file names for the shell that starts ssh", () => {
    const remote = parseRemote("git@host:x");
    const environment = networkEnvironment({ ...base, remote, auth: { kind: "ssh", keyFile: "/k/it's $(x)" } });
    expect(environment["GIT_SSH_COMMAND"]).toContain("-i '/k/it'\\''s $(x)'");
  });
});
