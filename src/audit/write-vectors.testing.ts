/** Writes `docs/verify/vectors/vectors.json` anew: `node src/audit/write-vectors.testing.ts`. */
import { writeFileSync } from "node:fs";
import { makeVectors } from "./vectors.testing.ts";

const file = new URL("../../docs/verify/vectors/vectors.json", import.meta.url);
writeFileSync(file, `${JSON.stringify(await makeVectors(), undefined, 1)}\n`);
