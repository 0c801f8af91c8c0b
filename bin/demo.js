#!/usr/bin/env node
// `npm run demo`: sets up what the demo needs, then runs it with the same arguments. Ctrl-C reaches the demo itself.
import { spawn, spawnSync } from "node:child_process";
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
const demo = spawn(process.execPath, [script("kraken-gitops.js"), "demo", ...args], { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => demo.kill(signal));
demo.on("exit", (code) => process.exit(code ?? 1));
