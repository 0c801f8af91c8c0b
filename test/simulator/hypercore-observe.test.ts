import { expect, it } from "vitest";
import type { Exchange } from "../../src/simulator/hypercore/exchange.ts";
import { basic, open } from "./hypercore-support.ts";

it("tells a watcher every exchange of the API, and none of the control API", async () => {
  const seen: Exchange[] = [];
  await using client = await open({ observe: (exchange) => seen.push(exchange) });
  await client.control("GET", "calls");
  await client.api("GET", "VirDomain?name=web");
  await client.api("PATCH", "VirDomain/x", { name: "web" });
  await client.api("PUT", "VirtualDisk/upload?filename=a.img&filesize=70000", Buffer.alloc(70_000));
  expect(seen.map(({ method, path, status }) => `${method} ${path} ${status}`)).toEqual([
    "GET /rest/v1/VirDomain 400",
    "PATCH /rest/v1/VirDomain/x 500",
    "PUT /rest/v1/VirtualDisk/upload 200",
  ]);
  const [list, patch, upload] = seen;
  expect(list).toMatchObject({ node: 0, query: [["name", "web"]], body: undefined, bodyBytes: undefined });
  expect(list?.headers.authorization).toBe(basic("admin", "admin"));
  expect(patch).toMatchObject({ body: { name: "web" }, bodyBytes: 14, answerType: "application/json" });
  expect(upload).toMatchObject({ body: undefined, bodyBytes: 70_000, delivered: true });
  expect(JSON.parse(upload?.answer ?? "")).toMatchObject({ taskTag: "1" });
});

it("tells a watcher of answers that never arrived: with the answer where the work was done, else without one", async () => {
  const seen: Exchange[] = [];
  await using client = await open({ observe: (exchange) => seen.push(exchange) });
  for (const kind of ["drop-after", "truncate", "drop-before"]) {
    await client.control("POST", "faults", { match: { method: "POST" }, kind, times: 1 });
    const body = { dom: { name: kind }, options: {} };
    await expect(client.api("POST", "VirDomain", body)).rejects.toThrow();
  }
  expect(seen.map(({ status, delivered }) => ({ status, delivered }))).toEqual([
    { status: 200, delivered: false },
    { status: 200, delivered: false },
    { status: 0, delivered: false },
  ]);
});
