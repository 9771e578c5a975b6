import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, test } from "node:test";

const ASK = `
  const { systemKeychain } = await import(process.argv[1]);
  try {
    console.log("answer", await systemKeychain({ timeoutMs: 2000 }).get({ service: "doorward-test", account: "none" }));
  } catch (error) {
    console.log("none", error.message);
  }
  process.exit(0);
`;

describe("systemKeychain", () => {
  const ask = (environment: NodeJS.ProcessEnv) =>
    spawnSync(process.execPath, ["--input-type=module", "-e", ASK, new URL("./keychain.ts", import.meta.url).href], {
      env: { PATH: "/usr/bin:/bin", ...environment },
      encoding: "utf8",
      timeout: 60_000,
    });

  test("fails cleanly where there is no Secret Service, and does not fall back to the kernel's keyring", (t) => {
    if (process.platform !== "linux") return t.skip("only Linux can be without a keychain");
    for (const address of ["unix:path=/nonexistent/bus", "nonsense", ""]) {
      const { stdout, stderr, status } = ask({ DBUS_SESSION_BUS_ADDRESS: address, HOME: "/nonexistent" });
      assert.match(stdout, /^none /, stderr);
      assert.equal(status, 0);
    }
  });
});
