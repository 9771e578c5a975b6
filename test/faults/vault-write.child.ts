/** Sets a secret of a prepared home once, and says what became of it. Run by vault-write.test.ts, under faults. */
import { NOON, openHome } from "../../src/vault/home.testing.ts";

const [home = "", text = ""] = process.argv.slice(2);
try {
  await using open = await openHome(home);
  process.stdout.write("begin\n");
  await open.vault.setSecret({ name: "a", value: Buffer.from(text) }, NOON);
  process.stdout.write("done\n");
} catch (error) {
  process.stdout.write(`refused ${error instanceof Error ? error.message : ""}\n`);
}
