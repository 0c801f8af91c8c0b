import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { messageOf, WatcherError } from "../lib/errors.ts";
import { parseDuration } from "../manifest/quantity.ts";
import { DIALECTS } from "../simulator/forge/options.ts";
import type { PauseOptions, ScopeOptions } from "./command-pause.ts";
import type { PlanOptions } from "./command-plan.ts";
import type { Role } from "./command-run.ts";
import type { SimulateForgeOptions, SimulateHypercoreOptions } from "./command-simulate.ts";
import type { ValidateOptions } from "./command-validate.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { complain, print, printJson, surviveClosedOutput } from "./output.ts";
import type { GlobalOptions } from "./settings.ts";
import { readVersion } from "./version.ts";

/** Runs one command line and answers its exit code: 0 done or no change, 1 error, 2 changes pending. */
export async function main(args: readonly string[]): Promise<number> {
  let code: ExitCode = exitCodes.ok;
  const program = buildProgram((next) => {
    code = next;
  });
  surviveClosedOutput();
  try {
    await program.parseAsync([...args], { from: "user" });
    return code;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.ok;
    // Commander has told its own errors already.
    if (!(error instanceof CommanderError)) complain(describeError(error));
    if (args.includes("--json")) printJson({ schemaVersion: 1, error: errorToJson(error) });
    return exitCodes.error;
  }
}

/** What a program reading `--json` gets in place of a result. */
function errorToJson(error: unknown): { readonly code: string; readonly message: string } {
  const code = error instanceof WatcherError ? error.code : error instanceof CommanderError ? "usage" : "internal";
  return { code, message: messageOf(error).replace(/^error: /, "") };
}

function describeError(error: unknown): string {
  if (error instanceof WatcherError) return `error: ${error.message} [${error.code}]`;
  const stack = error instanceof Error ? error.stack : undefined;
  return `internal error: ${stack ?? messageOf(error)}`;
}

/**
 * Takes the exit code of the command that ran. Commands are imported when they run: `run` stays small without the
 * simulators and the demo, and `validate` starts without Redis, git and HTTP clients.
 */
type Settle = (code: ExitCode) => void;

/** Every command with its options and help; `settle` takes the exit code of the one that ran. */
export function buildProgram(settle: Settle): Command {
  const program = new Command("kraken-gitops")
    .description("Watches git repositories of Kraken manifests and keeps virtual machines the way git says.")
    .version(readVersion())
    .option("-c, --config <file>", "configuration file (default: $KRAKEN_GITOPS_CONFIG or ./kraken-gitops.yaml)")
    .option("--json", "machine-readable output")
    .exitOverride()
    .configureOutput({ writeOut: print, writeErr: complain })
    .showSuggestionAfterError()
    .showHelpAfterError("(kraken-gitops --help lists the commands)")
    .addHelpText(
      "after",
      "\nExit codes: 0 done or no change, 1 error, 2 changes pending.\nTry it without any set-up: kraken-gitops demo",
    );
  addRunning(program, settle);
  addReviewing(program, settle);
  addWatching(program, settle);
  addPausing(program, settle);
  addSettingUp(program, settle);
  for (const command of program.commands) shareSettings(command, `kraken-gitops ${command.name()}`);
  return program;
}

/** Sub-commands inherit the behaviour on errors, which commander copies only at creation. */
function shareSettings(command: Command, name: string): void {
  command
    .exitOverride()
    .configureOutput({ writeOut: print, writeErr: complain })
    .configureHelp({ showGlobalOptions: true })
    .showSuggestionAfterError()
    .showHelpAfterError(`(${name} --help tells more)`);
  for (const child of command.commands) shareSettings(child, `${name} ${child.name()}`);
}

function addRunning(program: Command, settle: Settle): void {
  const add = (name: string, roles: readonly Role[], description: string): void => {
    program
      .command(name)
      .description(description)
      .addHelpText("after", `\nExample:\n  kraken-gitops ${name} --config kraken-gitops.yaml`)
      .action(async (_options, command: Command) =>
        settle(await (await import("./command-run.ts")).runCommand(roles, globals(command))),
      );
  };
  add("run", ["watch", "work", "serve"], "watch repositories and carry out operations, in one process");
  add("watch", ["watch", "serve"], "only watch: poll git, plan pull requests, start syncs");
  add("work", ["work"], "only work: carry out operations and deliver statuses; run as many as you like on one Redis");
  add("serve", ["serve"], "only serve HTTP: take webhooks for the watcher on the same Redis, answer health checks");
}

function addReviewing(program: Command, settle: Settle): void {
  program
    .command("validate [paths...]")
    .description("check manifests: every problem of every file at once")
    .option("--strict", "also report what the published Kraken schema would refuse")
    .option("--allow-http", "allow http: asset URLs")
    .addHelpText(
      "after",
      "\nExamples:\n  kraken-gitops validate manifests/\n  kraken-gitops validate --strict web.yaml",
    )
    .action(async (paths: string[], _options, command: Command) =>
      settle(
        await (await import("./command-validate.ts")).validateCommand(
          paths,
          command.optsWithGlobals<ValidateOptions>(),
        ),
      ),
    );
  program
    .command("plan")
    .description("show what would be done now; changes nothing (exit code 2: there is something to do)")
    .option("--path <folder>", "plan a working tree instead of the tracked branch")
    .option("--offline", "reach no cluster: compare with the last commit")
    .option("--repository <name>", "which configured repository")
    .option("--revision <commit>", "plan this commit instead of the branch's tip")
    .option("--markdown", "as a pull-request comment")
    .addHelpText(
      "after",
      "\nExamples:\n  kraken-gitops plan\n  kraken-gitops plan --path manifests/ --offline   # a pre-commit check\n  kraken-gitops plan --json | jq .operations",
    )
    .action(async (_options, command: Command) =>
      settle(await (await import("./command-plan.ts")).planCommand(command.optsWithGlobals<PlanOptions>())),
    );
}

function addWatching(program: Command, settle: Settle): void {
  const timeout = new Option("--timeout <duration>", "how long to wait")
    .argParser(durationOption)
    .default(600_000, "10m");
  program
    .command("status [repository]")
    .description("what each repository is doing (exit codes: 1 trouble, 2 a sync is under way)")
    .addHelpText("after", "\nExamples:\n  kraken-gitops status\n  kraken-gitops status fleet --json")
    .action(async (repository: string | undefined, _options, command: Command) =>
      settle(await (await import("./command-status.ts")).statusCommand(repository, globals(command))),
    );
  program
    .command("history [repository]")
    .description("past syncs: commit, author, when, result, duration, operations")
    .option("--application <name>", "only syncs that touched this application")
    .option("--limit <number>", "how many", numberOption, 20)
    .addHelpText(
      "after",
      "\nExamples:\n  kraken-gitops history --limit 5\n  kraken-gitops history fleet --application shop --json",
    )
    .action(async (repository: string | undefined, _options, command: Command) =>
      settle(await (await import("./command-history.ts")).historyCommand(repository, command.optsWithGlobals())),
    );
  program
    .command("quarantine")
    .description("deleted VMs that are kept with their disks for a time: where, since when, until when")
    .option("--cluster <name>", "only this cluster")
    .addHelpText(
      "after",
      "\nExamples:\n  kraken-gitops quarantine\n  kraken-gitops quarantine --cluster store-7 --json",
    )
    .action(async (_options, command: Command) =>
      settle(await (await import("./command-quarantine.ts")).quarantineCommand(command.optsWithGlobals())),
    );
  addRestoring(program, settle);
  program
    .command("drift")
    .description("VMs that are no longer as they were applied, VMs nobody manages, VMs in quarantine; changes nothing")
    .option("--cluster <name>", "only this cluster")
    .addHelpText("after", "\nExamples:\n  kraken-gitops drift\n  kraken-gitops drift --cluster store-7 --json")
    .action(async (_options, command: Command) =>
      settle(await (await import("./command-drift.ts")).driftCommand(command.optsWithGlobals())),
    );
  program
    .command("sync [repository]")
    .description("compare everything with the clusters now, whatever was applied before")
    .option("--wait", "follow it to its end (exit codes: 0 synced, 1 failed, 2 still open)")
    .option("--accept-empty <cluster>", "a cluster that shows none of its VMs has lost them: make them anew")
    .addOption(timeout)
    .addHelpText(
      "after",
      "\nExamples:\n  kraken-gitops sync\n  kraken-gitops sync fleet --wait --timeout 15m\n  kraken-gitops sync --accept-empty store-7",
    )
    .action(async (repository: string | undefined, options: { timeout: number }, command: Command) =>
      settle(
        await (await import("./command-sync.ts")).syncCommand(repository, {
          ...command.optsWithGlobals(),
          timeoutMs: options.timeout,
        }),
      ),
    );
  program
    .command("wait")
    .description("wait for the final verdict on a commit (exit codes: 0 synced, 1 failed, 2 still open)")
    .requiredOption("--commit <sha>", "full or abbreviated commit id")
    .option("--repository <name>", "which configured repository")
    .addOption(timeout)
    .addHelpText("after", "\nExample:\n  git push && kraken-gitops wait --commit $(git rev-parse HEAD) --timeout 15m")
    .action(async (options: { timeout: number }, command: Command) =>
      settle(
        await (await import("./command-wait.ts")).waitCommand({
          ...command.optsWithGlobals(),
          timeoutMs: options.timeout,
        }),
      ),
    );
}

function addRestoring(program: Command, settle: Settle): void {
  program
    .command("restore <vm>")
    .description("snapshots of a VM; with one of them, what going back to it would do, and with --yes doing it")
    .option("--cluster <name>", "where the VM is, if the name alone does not say")
    .option("--snapshot <id>", "go back to this snapshot")
    .option("--yes", "do it (without: only show it, exit code 2)")
    .option("--start", "start the VM at the end; else it stays off for you to look at")
    .addHelpText(
      "after",
      "\nSyncs of the VM have to be paused; what it holds now is kept.\n\nExamples:\n  kraken-gitops restore web-02 --cluster store-7\n  kraken-gitops pause --vm store-7/web-02\n  kraken-gitops restore web-02 --cluster store-7 --snapshot 5f0c21aa --yes",
    )
    .action(async (name: string, _options, command: Command) =>
      settle(await (await import("./command-restore.ts")).restoreCommand(name, command.optsWithGlobals())),
    );
}

function addPausing(program: Command, settle: Settle): void {
  const scoped = (name: string, description: string): Command =>
    program
      .command(name)
      .description(description)
      .option("--repository <name>", "only this repository")
      .option("--cluster <name>", "only this cluster")
      .option("--application <name>", "only this application, on every cluster")
      .option("--vm <cluster/name>", "only this VM");
  scoped("pause", "begin nothing more until somebody resumes; operations under way finish, commits stay pending")
    .option("--reason <text>", "why, for status and commits")
    .option("--for <duration>", "end by itself after this time", durationOption)
    .option("--until <time>", "end by itself then, e.g. 2026-12-01T06:00Z (without a zone: this machine's)")
    .option("--by <name>", "who pauses (default: the user of this machine)")
    .addHelpText(
      "after",
      "\nExamples:\n  kraken-gitops pause --cluster store-7 --for 2h --reason 'moving racks'\n  kraken-gitops pause",
    )
    .action(async (_options, command: Command) =>
      settle(await (await import("./command-pause.ts")).pauseCommand(command.optsWithGlobals<PauseOptions>())),
    );
  scoped("resume", "end a pause; the newest commit goes on")
    .addHelpText("after", "\nExamples:\n  kraken-gitops resume --cluster store-7\n  kraken-gitops resume")
    .action(async (_options, command: Command) =>
      settle(await (await import("./command-pause.ts")).resumeCommand(command.optsWithGlobals<ScopeOptions>())),
    );
}

function addSettingUp(program: Command, settle: Settle): void {
  const config = program.command("config").description("look at the configuration");
  config
    .command("show")
    .description("the effective configuration, secrets as references")
    .addHelpText("after", "\nExample:\n  kraken-gitops config show --json")
    .action(async (_options, command: Command) =>
      settle(await (await import("./command-config.ts")).configShowCommand(globals(command))),
    );
  config
    .command("check")
    .description("check the configuration file and its secrets; reaches nothing over the network")
    .addHelpText("after", "\nExample:\n  kraken-gitops config check --config kraken-gitops.yaml")
    .action(async (_options, command: Command) =>
      settle(await (await import("./command-config.ts")).configCheckCommand(globals(command))),
    );
  program
    .command("doctor")
    .description("check everything a run needs: versions, Redis, remotes, forges, clusters, mirrors")
    .addHelpText("after", "\nExample:\n  kraken-gitops doctor --config kraken-gitops.yaml")
    .action(async (_options, command: Command) =>
      settle(await (await import("./command-doctor.ts")).doctorCommand(globals(command))),
    );
  program
    .command("demo")
    .description("the whole road on this machine: manifests, plan comment, merge, VMs, revert")
    .option("--keep", "leave everything running at the end")
    .addOption(
      new Option("--driver <name>", "what the VMs run on: a simulated cluster, or libvirt on this machine")
        .choices(["hypercore", "libvirt"])
        .default("hypercore"),
    )
    .addHelpText("after", "\nExamples:\n  kraken-gitops demo\n  kraken-gitops demo --driver libvirt --keep")
    .action(async (options: { keep?: boolean; driver: "hypercore" | "libvirt" }) =>
      settle(
        await (await import("./command-demo.ts")).demoCommand({ keep: options.keep === true, driver: options.driver }),
      ),
    );
  addSimulators(
    program.command("simulate").description("a cluster or a forge to try things with, in a process of its own"),
    settle,
  );
}

function addSimulators(simulate: Command, settle: Settle): void {
  simulate
    .command("hypercore")
    .description("a SC//HyperCore cluster's REST API")
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option("--port <number>", "first port, 0 for any", portOption, 0)
    .option("--nodes <number>", "nodes of the cluster", numberOption, 1)
    .option("--state <file>", "keep the state in this file")
    .option("--username <name>", "API user", "admin")
    .option("--password <password>", "its password", "admin")
    .option("--cluster-name <name>", "name of the cluster")
    .option("--task-ms <ms>", "how long tasks take", numberOption, 50)
    .option("--icos-version <version>", "version to report")
    .option("--ignore-shutdown <regexp>", "VMs with such a name ignore ACPI")
    .option("--storage-bytes <bytes>", "storage of the cluster", numberOption)
    .option("--seed <number>", "seed of everything random", numberOption)
    .option("--tls", "self-signed TLS")
    .addHelpText("after", "\nExample:\n  kraken-gitops simulate hypercore --port 8443 --tls --state cluster.jsonl")
    .action(async (options: SimulateHypercoreOptions) =>
      settle(await (await import("./command-simulate.ts")).simulateHypercoreCommand(options)),
    );
  simulate
    .command("forge")
    .description("a small forge, like GitHub, GitLab, Gitea or Forgejo, with real git repositories")
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option("--port <number>", "port, 0 for any", portOption, 0)
    .option("--data <folder>", "keep repositories and the rest in this folder")
    .addOption(new Option("--dialect <name>", "whose REST and webhooks it speaks").choices(DIALECTS).default("github"))
    .option("--user <login:token...>", "who may come in", ["kraken-bot:bot-token", "alice:alice-token"])
    .option("--repository <owner/name...>", "repositories to make", ["acme/fleet"])
    .addHelpText(
      "after",
      "\nExample:\n  kraken-gitops simulate forge --port 3000 --data ./forge --repository acme/fleet",
    )
    .action(async (options: SimulateForgeOptions) =>
      settle(await (await import("./command-simulate.ts")).simulateForgeCommand(options)),
    );
}

function globals(command: Command): GlobalOptions {
  return command.optsWithGlobals<GlobalOptions>();
}

function portOption(text: string): number {
  const port = numberOption(text);
  if (port > 65_535) throw new InvalidArgumentError("A port is at most 65535.");
  return port;
}

function numberOption(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("It must be a whole number.");
  return Number(text);
}

function durationOption(text: string): number {
  const parsed = parseDuration(text);
  if (typeof parsed !== "number") throw new InvalidArgumentError("Write a duration like 90s, 10m or 1h.");
  return parsed;
}
