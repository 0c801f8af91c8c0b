#!/usr/bin/env node
// Writes the manifest schemas of config/ from the schemas the parser compiles. Run after a change to them:
//   npm run build && node bin/write-schemas.js && npx biome format --write config
// A test fails when the files are not current.
import { writeFileSync } from "node:fs";
import { publishedSchemas } from "../dist/manifest/published-schemas.js";

for (const [name, schema] of Object.entries(publishedSchemas)) {
  writeFileSync(new URL(`../config/${name}`, import.meta.url), `${JSON.stringify(schema, undefined, 2)}\n`);
}
