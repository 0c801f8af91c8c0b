import { expect, it } from "vitest";
import type { RestExchange } from "../../src/simulator/forge/options.ts";
import { openGithubDescription } from "../support/github-description.ts";

const created: RestExchange = {
  method: "POST",
  path: "/repos/acme/fleet/deployments/3/statuses",
  query: new URLSearchParams(),
  userAgent: "kraken-gitops",
  body: { state: "success" },
  status: 400,
  answer: "",
};
const listed = { ...created, method: "GET", path: "/repos/acme/fleet/pulls", body: {}, status: 200, answer: "[]" };

it.each([
  [
    "a state GitHub does not know",
    { ...created, status: 201, body: { state: "done" } },
    /request\/state must be equal/,
  ],
  ["a member GitHub does not know", { ...created, status: 201, body: { state: "success", url: "x" } }, /knows no url/],
  [
    "a query GitHub does not know",
    { ...listed, query: new URLSearchParams("branch=main") },
    /query branch is not known/,
  ],
  ["a wrong value in a query", { ...listed, query: new URLSearchParams("state=merged") }, /query state must be equal/],
  ["an answer without what it must have", { ...listed, answer: "[{}]" }, /answer\/N must have required property 'id'/],
  ["a call that is not described", { ...listed, path: "/repos/acme/fleet/nonsense" }, /is not in the description/],
])("finds %s", (_what, exchange, expected) => {
  const description = openGithubDescription();
  description.check({ ...exchange, answer: exchange.answer === "" ? "{}" : exchange.answer });
  expect(description.violations().join("\n")).toMatch(expected);
});

it("has nothing to say of what is as described, of refusals, and of what others ask", () => {
  const description = openGithubDescription();
  description.check({ ...listed, query: new URLSearchParams("state=open&per_page=100") });
  description.check({ ...created, body: { state: "nonsense" } });
  description.check({ ...listed, userAgent: "test", query: new URLSearchParams("branch=main") });
  expect(description.violations()).toEqual([]);
});
