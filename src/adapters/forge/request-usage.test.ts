import { expect, it } from "vitest";
import { RequestCounter } from "./request-usage.ts";

const answer = (status: number, remaining?: number) => ({
  status,
  text: "",
  headers: remaining === undefined ? {} : { "x-ratelimit-limit": "5000", "x-ratelimit-remaining": `${remaining}` },
});

it("counts what the forge counts, and 304 apart, for each token", () => {
  const counter = new RequestCounter();
  for (const status of [200, 304, 404, 304, 304]) counter.count("one", answer(status), 0);
  counter.count("two", answer(200, 4_999), 0);
  expect(counter.usage("one")).toEqual({ counted: 2, unchanged: 3, limit: undefined, remaining: undefined });
  expect(counter.usage("two")).toEqual({ counted: 1, unchanged: 0, limit: 5_000, remaining: 4_999 });
  expect(counter.usage("three").counted).toBe(0);
});

it("hands out an hour when it is over, once", () => {
  const counter = new RequestCounter();
  expect(counter.count("one", answer(200, 10), 0)).toBeUndefined();
  expect(counter.count("one", answer(304, 10), 3_599_999)).toBeUndefined();
  expect(counter.count("one", answer(200, 9), 3_600_000)).toEqual({
    counted: 1,
    unchanged: 1,
    limit: 5_000,
    remaining: 10,
  });
  expect(counter.count("one", answer(200, 8), 3_600_001)).toBeUndefined();
  expect(counter.usage("one")).toMatchObject({ counted: 2, unchanged: 0, remaining: 8 });
});

it("forgets tokens that were not used for the longest time", () => {
  const counter = new RequestCounter();
  for (let index = 0; index < 201; index += 1) counter.count(`token ${index}`, answer(200), 0);
  expect(counter.usage("token 0").counted).toBe(0);
  expect(counter.usage("token 200").counted).toBe(1);
});
