import type { Command, Option } from "commander";
import { beforeAll, describe, expect, it } from "vitest";
import { exitCodes } from "../../src/cli/exit-codes.ts";
import { captureProgram, commandsOf } from "./cli-program.ts";
import { codeBlocks, headings, inlineCode, readPage, section, tableRows } from "./pages.ts";

const page = readPage("docs/cli.md");
let program: Command;
let commands: ReadonlyMap<string, Command>;
beforeAll(async () => {
  program = captureProgram();
  commands = commandsOf(program);
});

function documentedOptions(title: string): readonly string[] {
  return tableRows(section(page, title)).flatMap(([cell = ""]) => inlineCode(cell));
}

function flagsOf(options: readonly Option[]): readonly string[] {
  return options.map((option) => option.flags);
}

describe("docs/cli.md", () => {
  it("has a section for every command, and no other", () => {
    const described = headings(page.text).filter((title) => !["The command line", "For all commands"].includes(title));
    expect(described.toSorted()).toEqual([...commands.keys()].toSorted());
  });
  it("lists every option of every command, and no other", () => {
    for (const [name, command] of commands)
      expect(documentedOptions(name), name).toEqual([
        ...command.registeredArguments.map((argument) => shown(argument.name(), argument)),
        ...flagsOf(command.options),
      ]);
  });
  it("lists the options that all commands have", () => {
    expect(documentedOptions("For all commands")).toEqual([
      ...flagsOf(program.options),
      "-h, --help",
      ...Object.values(exitCodes).map(String),
    ]);
  });
  it("gives the default of every option that has one", () => {
    for (const [name, command] of commands)
      for (const option of command.options) {
        const preset: unknown = option.defaultValueDescription ?? option.defaultValue;
        if (preset === undefined) continue;
        const row = tableRows(section(page, name)).find(([cell = ""]) => inlineCode(cell).includes(option.flags)) ?? [];
        for (const value of [preset].flat() as (string | number)[])
          expect(row.join(" "), `${name} ${option.flags}`).toContain(String(value));
      }
  });
  it("shows an example of every command", () => {
    for (const name of commands.keys()) {
      const examples = codeBlocks(section(page, name)).map((block) => block.text);
      expect(examples.join("\n"), name).toContain(`kraken-gitops ${name}`);
    }
  });
});

function shown(name: string, argument: { readonly required: boolean; readonly variadic: boolean }): string {
  const text = argument.variadic ? `${name}...` : name;
  return argument.required ? `<${text}>` : `[${text}]`;
}
