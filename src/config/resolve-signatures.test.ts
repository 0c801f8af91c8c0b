import { expect, it } from "vitest";
import { ResolveContext } from "./resolve-context.ts";
import { resolveSignatures } from "./resolve-signatures.ts";

function resolve(raw: Parameters<typeof resolveSignatures>[0]) {
  const context = new ResolveContext("/etc/kraken", {});
  return { ...resolveSignatures(raw, ["signatures"], context), problems: context.problems };
}

it("requires signatures as soon as keys are named, by paths from the configuration's folder", () => {
  const signatures = { allowedSigners: "/etc/kraken/keys/allowed_signers", gpgKeys: undefined };
  expect(resolve({ allowedSigners: "keys/allowed_signers" })).toEqual({ signatures, problems: [] });
  expect(resolve({ require: true, gpgKeys: "/keys.asc" }).signatures).toEqual({
    allowedSigners: undefined,
    gpgKeys: "/keys.asc",
  });
});

it("requires none where nothing is written or where it is switched off", () => {
  expect(resolve(undefined)).toEqual({ problems: [] });
  expect(resolve({ require: false, gpgKeys: "/keys.asc" })).toEqual({ problems: [] });
});

it("is a mistake without any keys", () => {
  for (const raw of [{}, { require: true }])
    expect(resolve(raw).problems).toMatchObject([{ path: ["signatures"], message: expect.stringContaining("needs") }]);
});
