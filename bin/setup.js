#!/usr/bin/env node
// Makes a fresh clone ready for `npm test`, `npm run demo` and `npm run bench`: installs npm packages, builds, and
// installs a Redis server through the system's package manager where there is none. Uses nothing but Node itself.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

function say(text) {
  process.stderr.write(`setup: ${text}\n`);
}

function fail(text) {
  say(text);
  process.exit(1);
}

function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2], ...options });
  return result.status === 0;
}

function isOnPath(command) {
  return (process.env.PATH ?? "").split(":").some((folder) => folder !== "" && existsSync(join(folder, command)));
}

function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19))
    fail(`Node ${process.versions.node} is too old: 20.19 or newer is needed.`);
}

/** True when node_modules holds what package-lock.json names: npm writes its own copy of the lock file last. */
function packagesAreCurrent() {
  const marker = join(root, "node_modules", ".package-lock.json");
  if (!existsSync(marker)) return false;
  const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  const found = JSON.parse(readFileSync(marker, "utf8")).packages;
  return Object.entries(wanted).every(
    ([path, entry]) => path === "" || entry.optional || found[path]?.version === entry.version,
  );
}

function ensurePackages() {
  if (packagesAreCurrent()) return;
  say("installing npm packages");
  if (!run("npm", ["ci", "--no-audit", "--no-fund", "--ignore-scripts"])) fail("`npm ci` failed, see above.");
}

function newestChange(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((newest, entry) => Math.max(newest, statSync(join(entry.parentPath, entry.name)).mtimeMs), 0);
}

function ensureBuild() {
  const built = join(root, "dist", "cli", "main.js");
  if (existsSync(built) && statSync(built).mtimeMs > newestChange(join(root, "src"))) return;
  say("building");
  if (!run("npm", ["run", "--silent", "build"])) fail("the build failed, see above.");
}

function ensureRedis() {
  if (isOnPath("redis-server") || isOnPath("valkey-server")) return;
  const help = "install redis-server (or valkey-server) and run this again";
  if (!isOnPath("apt-get")) fail(`no redis-server or valkey-server on PATH; ${help}.`);
  const sudo = process.getuid?.() === 0 ? [] : isOnPath("sudo") ? ["sudo", "-n"] : undefined;
  if (sudo === undefined) fail(`no redis-server on PATH, and only root may install it; ${help}.`);
  say("installing redis-server with apt-get");
  const apt = (...args) => {
    const [command, ...rest] = [...sudo, "apt-get", ...args];
    return run(command, rest, { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } });
  };
  const install = ["install", "-y", "-qq", "--no-install-recommends", "redis-server"];
  if (!apt(...install) && !(apt("update", "-qq") && apt(...install)))
    fail(`apt-get could not install redis-server; ${help}.`);
}

function checkGit() {
  if (!isOnPath("git")) fail("git is not on PATH; install it and run this again.");
  const [, major, minor] = /(\d+)\.(\d+)/.exec(execFileSync("git", ["--version"], { encoding: "utf8" })) ?? [];
  if (Number(major) < 2 || (Number(major) === 2 && Number(minor) < 38))
    fail(`git ${major}.${minor} is too old: 2.38 or newer is needed.`);
}

checkNode();
checkGit();
ensurePackages();
ensureBuild();
ensureRedis();
