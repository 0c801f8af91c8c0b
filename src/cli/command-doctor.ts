import { execFile } from "node:child_process";
import { access, constants, mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { composeEngine, createLog } from "../app/compose.ts";
import type { Engine } from "../app/engine.ts";
import type { Config } from "../config/config.ts";
import { messageOf } from "../lib/errors.ts";
import { describeConfig } from "./command-config.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { count, print, printJson } from "./output.ts";
import { type GlobalOptions, readSettingsAloud } from "./settings.ts";
import { readVersion } from "./version.ts";

interface Finding {
  readonly subject: string;
  readonly ok: boolean;
  readonly message: string;
}

const run = promisify(execFile);
const deadlineMs = 30_000;

/** Looks at everything a run needs and says what is missing and how to mend it. Changes nothing outside dataDir. */
export async function doctorCommand(options: GlobalOptions): Promise<ExitCode> {
  const findings: Finding[] = [await checkNode(), await checkGit()];
  let config: Config | undefined;
  findings.push(
    await check("configuration", async () => {
      config = await readSettingsAloud(options);
      return describeConfig(config);
    }),
  );
  if (config !== undefined) findings.push(...(await checkConfigured(config)));
  if (options.json === true) printJson({ schemaVersion: 1, findings });
  else for (const { subject, ok, message } of findings) print(`${ok ? "ok  " : "FAIL"}  ${subject}: ${message}`);
  return findings.every(({ ok }) => ok) ? exitCodes.ok : exitCodes.error;
}

async function checkConfigured(config: Config): Promise<Finding[]> {
  const { dataDir, assets } = config;
  const folders = [
    check("dataDir", () => checkFolder(dataDir)),
    ...assets.mirrors.map((mirror) => check(`mirror ${mirror.prefix}`, () => checkMirror(mirror.to))),
  ];
  return [...(await Promise.all(folders)), ...(await checkEngine(config))];
}

async function check(subject: string, body: () => Promise<string>): Promise<Finding> {
  try {
    return { subject, ok: true, message: await body() };
  } catch (error) {
    return { subject, ok: false, message: messageOf(error) };
  }
}

function checkNode(): Promise<Finding> {
  return check("node", () => {
    const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
    if (major < 20 || (major === 20 && minor < 19))
      return Promise.reject(new Error(`${process.versions.node} is too old: 20.19 or newer is needed`));
    return Promise.resolve(process.versions.node);
  });
}

function checkGit(): Promise<Finding> {
  return check("git", async () => {
    const { stdout } = await run("git", ["--version"]).catch(() =>
      Promise.reject(new Error("git is not installed or not on PATH")),
    );
    const [, major = "0", minor = "0"] = /(\d+)\.(\d+)/.exec(stdout) ?? [];
    if (Number(major) < 2 || (Number(major) === 2 && Number(minor) < 38))
      throw new Error(`${stdout.trim()} is too old: 2.38 or newer is needed to plan merges`);
    return stdout.trim();
  });
}

async function checkFolder(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  await access(folder, constants.W_OK);
  return `${folder} can be written`;
}

async function checkMirror(to: string): Promise<string> {
  if (!to.startsWith("file://")) return to;
  await access(fileURLToPath(to), constants.R_OK).catch(() =>
    Promise.reject(new Error(`${to} cannot be read: check that the folder exists and that this user may read it`)),
  );
  return `${to} can be read`;
}

async function checkEngine(config: Config): Promise<Finding[]> {
  const log = await createLog({ level: "silent", format: "json", fd: 2 });
  const redis = config.redis.url === undefined ? "redis (private)" : "redis";
  try {
    await using engine = await composeEngine({ config, log, version: readVersion() });
    await engine.store.ping();
    const repositories = config.repositories.flatMap(({ name, signatures }) => [
      ...(signatures === undefined ? [] : [check(`signed commits of ${name}`, () => checkSigners(engine, name))]),
      check(`repository ${name}`, () => checkRemote(engine, name)),
      check(`forge of ${name}`, () => checkForge(engine, name)),
    ]);
    const clusters = config.clusters.map(({ name }) => check(`cluster ${name}`, () => checkCluster(engine, name)));
    return [{ subject: redis, ok: true, message: "answers" }, ...(await Promise.all([...repositories, ...clusters]))];
  } catch (error) {
    return [{ subject: redis, ok: false, message: messageOf(error) }];
  }
}

async function checkRemote(engine: Engine, name: string): Promise<string> {
  const { git, config } = await engine.repository(name);
  const tip = await git.remoteTip(AbortSignal.timeout(deadlineMs));
  return tip === undefined
    ? `reached; branch ${config.branch} has no commit yet`
    : `${config.branch} is at ${tip.slice(0, 12)}`;
}

async function checkSigners(engine: Engine, name: string): Promise<string> {
  const { git, config } = await engine.repository(name);
  const { allowedSigners, gpgKeys } = config.signatures ?? {};
  if (config.signatures === undefined) return "not required";
  const { ssh, gpg } = await git.countSigners(config.signatures);
  return [
    ...(allowedSigners === undefined ? [] : [`${count(ssh, "SSH key")} in ${allowedSigners}`]),
    ...(gpgKeys === undefined ? [] : [`${count(gpg, "GPG key")} in ${gpgKeys}`]),
  ].join(", ");
}

async function checkForge(engine: Engine, name: string): Promise<string> {
  const { forge } = await engine.repository(name);
  const { login, findings } = await forge.check(AbortSignal.timeout(deadlineMs));
  return [`${forge.kind}${login === undefined ? "" : ` as ${login}`}`, ...findings].join("; ");
}

async function checkCluster(engine: Engine, name: string): Promise<string> {
  const hypervisor = await engine.hypervisor(name);
  return (await hypervisor.check(AbortSignal.timeout(deadlineMs))).join("; ");
}
