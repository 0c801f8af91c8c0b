import { describe, expect, it } from "vitest";
import { assertRefName, maskUrls, parseRemote } from "./git-remote.ts";

describe("repository addresses", () => {
  it.each([
    ["https://git.example:8443/a/b.git", { transport: "https", origin: "https://git.example:8443", user: undefined }],
    ["http://me@git.example/a.git", { transport: "http", origin: "http://git.example", user: "me" }],
    ["ssh://git@git.example:2222/a.git", { transport: "ssh", origin: undefined, user: "git" }],
    ["git@git.example:a/b.git", { transport: "ssh", user: "git" }],
    ["git.example:a/b.git", { transport: "ssh", user: undefined }],
    ["file:///srv/a.git", { transport: "file" }],
    ["/srv/a.git", { transport: "file" }],
  ])("are understood: %s", (url, parts) => {
    expect(parseRemote(url)).toMatchObject({ url, ...parts });
  });

  it("never reach a remote helper, which could run commands", () => {
    for (const url of ["ext::sh", "fd::17", "foo::bar", "-oProxyCommand=x:y", "host:", "x y:z"]) {
      expect(() => parseRemote(url)).toThrow(expect.objectContaining({ code: "config-invalid" }));
    }
  });

  it("lose their credentials when they are shown", () => {
    expect(maskUrls("see https://me:pass@host/x and ssh://git@host/y")).toBe(
      "see https://***@host/x and ssh://git@host/y",
    );
  });

  it("hold reference names to git's rules", () => {
    for (const ref of ["refs/heads/main", "refs/heads/a/b-c.d", "refs/pull/7/head"]) assertRefName(ref);
    for (const ref of ["refs/heads/a..b", "refs/heads/a b", "refs/heads/", "refs//a", "-x", "a@{1}", "a.lock", "a~1"]) {
      expect(() => assertRefName(ref)).toThrow("not a valid branch or ref name");
    }
  });
});
