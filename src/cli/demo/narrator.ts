import type { DemoVm } from "./cluster-client.ts";
import type { DemoStatus } from "./forge-client.ts";
import { renderStatusTable } from "../../report/table.ts";
import { formatBytes } from "../../manifest/quantity.ts";

/** Tells what happens, and keeps count of what was checked. */
export class Narrator {
  readonly #print: (text: string) => void;
  readonly #colour: boolean;
  #checks = 0;

  constructor(print: (text: string) => void, colour: boolean) {
    this.#print = print;
    this.#colour = colour;
  }

  get checks(): number {
    return this.#checks;
  }

  chapter(title: string): void {
    this.#print(`\n${this.#paint("1", `── ${title}`)}`);
  }

  say(text: string): void {
    this.#print(`   ${text}`);
  }

  status(revision: string, status: DemoStatus): void {
    const colours: Readonly<Record<string, string>> = { success: "32", pending: "33" };
    this.#print(
      `   ${revision.slice(0, 7)}  ${status.context}  ${this.#paint(colours[status.state] ?? "31", status.state.padEnd(7))}  ${status.description}`,
    );
  }

  /** A comment as the forge stores it, without its hidden first line. */
  quote(markdown: string): void {
    const lines = markdown.split("\n").filter((line) => !line.startsWith("<!--"));
    this.#print(lines.map((line) => `   ${this.#paint("2", "│")} ${line}`).join("\n"));
  }

  vms(vms: readonly DemoVm[]): void {
    const rows = vms.map((vm) => [vm.name, vm.state.toLowerCase(), formatBytes(vm.memoryBytes), String(vm.disks)]);
    const table = renderStatusTable(
      [{ title: "VM" }, { title: "STATE" }, { title: "MEMORY", align: "right" }, { title: "DISKS", align: "right" }],
      rows,
    );
    this.#print(table.replaceAll(/^/gm, "   "));
  }

  /** Throws when it does not hold: the demo fails when anything is off. */
  check(holds: boolean, claim: string): void {
    if (!holds) throw new Error(`not true: ${claim}`);
    this.#checks += 1;
    this.#print(`   ${this.#paint("32", "✓")} ${claim}`);
  }

  #paint(code: string, text: string): string {
    return this.#colour ? `\u001B[${code}m${text}\u001B[0m` : text;
  }
}
