import { addAgent } from "./config-edits.ts";
import { editConfig } from "./edit-config.ts";

/** One process of the tests that edit a file in parallel or under faults: `node edit-child.testing.ts PATH AGENT`. */
const [, , path = "", agent = ""] = process.argv;

const result = await editConfig({
  path,
  edit: (document) => addAgent(document, agent, { roles: ["reader"] }),
  check: () => [],
});
process.stdout.write(result.ok ? "edited" : "refused");
