import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { stringify } from "yaml";
import { buildProgram, type Ran, runProgram, type Running, startProgram } from "./built-program.ts";
import { World, type WorldOptions } from "./world.ts";

/** A world whose engine is the built program in processes of its own, with a configuration file as people write it. */
export class CliLab implements AsyncDisposable {
  readonly world: World;
  readonly folder: string;
  readonly configFile: string;
  readonly #running: Running[] = [];

  private constructor(world: World, folder: string) {
    this.world = world;
    this.folder = folder;
    this.configFile = join(folder, "kraken-gitops.yaml");
  }

  static async open(options: WorldOptions = {}): Promise<CliLab> {
    await buildProgram();
    const world = await World.open(options);
    const folder = join(world.folder, "cli");
    await mkdir(folder);
    const lab = new CliLab(world, folder);
    await writeFile(join(folder, "forge-token"), "bot-token\n");
    await writeFile(join(folder, "cluster-password"), "admin\n");
    await lab.configure(["lab"]);
    return lab;
  }

  /** Writes the configuration file with these clusters of the world. */
  async configure(clusters: readonly string[], more: object = {}, ofRepository: object = {}): Promise<void> {
    await writeFile(this.configFile, stringify({ ...this.#settings(clusters, ofRepository), ...more }));
  }

  #settings(clusters: readonly string[], ofRepository: object): object {
    const { forgeUrl } = this.world;
    return {
      dataDir: "./var",
      repositories: [
        {
          name: "fleet",
          url: `${forgeUrl}/acme/fleet.git`,
          path: "manifests/",
          poll: "1s",
          forge: { type: "github", apiUrl: `${forgeUrl}/api/v3`, tokenFile: "forge-token" },
          clusters,
          ...ofRepository,
        },
      ],
      clusters: clusters.map((name) => ({
        name,
        hypercore: {
          endpoints: [this.world.clusterUrl(name)],
          username: "admin",
          passwordFile: "cluster-password",
        },
      })),
      assets: {
        mirrors: [
          {
            prefix: "https://storage.googleapis.com/demo-bucket/",
            to: `${pathToFileURL(join(this.world.folder, "images")).href}/`,
          },
        ],
      },
    };
  }

  /** Runs a command in the folder of the configuration. */
  run(...args: readonly string[]): Promise<Ran> {
    return runProgram(args, { cwd: this.folder });
  }

  /** Starts a command that goes on; ended with the lab unless ended before. */
  start(...args: readonly string[]): Running {
    const running = startProgram(args, { cwd: this.folder });
    this.#running.push(running);
    return running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#running.map((running) => running[Symbol.asyncDispose]()));
    await this.world[Symbol.asyncDispose]();
  }
}
