import assert from "node:assert/strict";
import { test } from "node:test";
import { config, operation, service } from "../policy/policy.testing.ts";
import { missingSecrets } from "./missing-secrets.ts";

const FILE = {
  config: config({
    services: [
      service("there", [operation("a")], { credential: { kind: "bearer", secret: "local:there" } }),
      service("absent", [operation("a")], { credential: { kind: "bearer", secret: "local:absent" } }),
      service("env", [operation("a")], { credential: { kind: "bearer", secret: "env:NO_SUCH_KEY" } }),
      service("set", [operation("a")], { credential: { kind: "bearer", secret: "env:A_KEY" } }),
      service("file", [operation("a")], { credential: { kind: "bearer", secret: "file:/none" } }),
      service("open", [operation("a")], { credential: undefined }),
    ],
  }),
  locate: () => ({ line: 7, column: 3 }),
};
const environment = (name: string) => (name === "A_KEY" ? "x" : undefined);

test("a secret that the file names and this machine lacks is a warning that says what to do", () => {
  const found = missingSecrets(FILE, new Set(["there"]), environment);
  assert.deepEqual(
    found.map(({ path, remedy, severity, line }) => [path, remedy, severity, line]),
    [
      ["services.absent.credential.secret", "run `doorward secret set absent --stdin`", "warning", 7],
      ["services.env.credential.secret", "set the variable `NO_SUCH_KEY` where the daemon runs", "warning", 7],
    ],
  );
});

test("of a vault that cannot be read nothing is claimed", () => {
  const found = missingSecrets(FILE, undefined, environment);
  assert.deepEqual(
    found.map(({ path }) => path),
    ["services.env.credential.secret"],
  );
});
