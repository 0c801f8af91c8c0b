import { afterEach } from "vitest";
import { World, type WorldOptions } from "./world.ts";

/** Opens a running world for a test; each one opened is closed after its test. */
export function useWorld(): (options?: WorldOptions) => Promise<World> {
  const open: World[] = [];
  afterEach(async () => {
    for (const world of open.splice(0)) await world[Symbol.asyncDispose]();
  });
  return async (options = {}) => {
    const world = await World.open(options);
    open.push(world);
    if (options.idle !== true) await world.run();
    return world;
  };
}
