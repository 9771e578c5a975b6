import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseDocument } from "yaml";
import { addAgent, addRole, removeService } from "./config-edits.ts";
import { EXAMPLE } from "./example.testing.ts";
import { keepLines } from "./keep-lines.ts";

test("law: whatever is edited, the result means the same, and comments stay", () => {
  const edit = fc.record({
    roles: fc.array(fc.stringMatching(/^[a-z]{1,6}$/), { maxLength: 3 }),
    agents: fc.array(fc.stringMatching(/^[a-z]{1,6}$/), { maxLength: 3 }),
    remove: fc.subarray(["registrar", "intranet"]),
    blank: fc.constantFrom("", "\n", "\n\n"),
  });
  fc.assert(
    fc.property(edit, ({ roles, agents, remove, blank }) => {
      const before = EXAMPLE.replaceAll(/^(roles|agents|policies):/gm, `${blank}$1:`);
      const document = parseDocument(before);
      const print = () => document.toString({ lineWidth: 0 });
      const printed = print();
      for (const name of remove) removeService(document, name);
      for (const name of roles) addRole(document, name, { allow: ["a:b"] });
      for (const name of agents) addAgent(document, name, { roles });
      const edited = print();
      const text = keepLines({ before, printed, edited });
      assert.deepEqual(parseDocument(text).toJS(), document.toJS());
      if (remove.length + roles.length + agents.length === 0) assert.equal(text, before);
      assert.ok(text.includes("# order never matters"));
      const inOnePlace = remove.length === 0 && (roles.length === 0 || agents.length === 0);
      if (inOnePlace) for (const line of before.split("\n")) assert.ok(text.includes(line), line);
    }),
    { numRuns: 200 },
  );
});
