import { type Command, CommanderError } from "commander";
import { buildProgram } from "../../src/cli/main.ts";

/** The program of the command line, as `main` builds it, without running anything. */
export function captureProgram(): Command {
  return buildProgram(() => undefined);
}

/** Every command that does something, by its words: `plan`, `simulate forge`. */
export function commandsOf(program: Command): ReadonlyMap<string, Command> {
  const found = new Map<string, Command>();
  const collect = (parent: Command, words: string): void => {
    for (const child of parent.commands) {
      const name = `${words} ${child.name()}`.trim();
      if (child.commands.length > 0) collect(child, name);
      else found.set(name, child);
    }
  };
  collect(program, "");
  return found;
}

/** Why the command line would refuse these arguments; undefined when it takes them. Nothing is run. */
export async function refusal(args: readonly string[]): Promise<string | undefined> {
  const program = captureProgram();
  let said = "";
  const quieten = (command: Command): void => {
    command.exitOverride().configureOutput({ writeErr: (text) => (said += text), writeOut: () => undefined });
    if (command.commands.length === 0) command.action(() => undefined);
    for (const child of command.commands) quieten(child);
  };
  quieten(program);
  try {
    await program.parseAsync([...args], { from: "user" });
    return undefined;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return undefined;
    return said.trim() || String(error);
  }
}
