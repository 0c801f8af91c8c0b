#!/usr/bin/env node
// `npm run demo`: sets up what the demo needs, then runs it with the same arguments.
import { spawn, spawnSync } from "node:child_process";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";

const args = process.argv.slice(2);
const libvirt = args.some(
  (arg, at) => arg === "--driver=libvirt" || (arg === "--driver" && args[at + 1] === "libvirt"),
);
const script = (name) => fileURLToPath(new URL(name, import.meta.url));

const setup = spawnSync(process.execPath, [script("setup.js"), ...(libvirt ? ["--libvirt"] : [])], {
  stdio: "inherit",
});
if (setup.status !== 0) process.exit(setup.status ?? 1);

// Two signals would end the demo at once, without cleaning up. One Ctrl-C reaches this process twice, from the terminal
// and from npm, and would reach the demo a third time if it were not in a session of its own.
const sameMs = 1_000;
const demo = spawn(process.execPath, [script("kraken-gitops.js"), "demo", ...args], {
  stdio: "inherit",
  detached: true,
});
let passedOnMs = Number.NEGATIVE_INFINITY;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
  process.on(signal, () => {
    if (performance.now() - passedOnMs < sameMs) return;
    passedOnMs = performance.now();
    demo.kill(signal === "SIGHUP" ? "SIGTERM" : signal);
  });
demo.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
