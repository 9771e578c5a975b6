import { mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";

const FIRST_FILE = `# What agents may do, reviewed like code. No secret stands here: \`doorward secret set NAME\`.
# Check it with \`doorward policy check\`; every key is in docs/reference/config.md.
version: 1
services: {}
roles: {}
agents: {}
policies: []
`;

/** Writes a first doorward.yaml that allows nothing. @returns Whether it did: a file that is there is kept. */
export async function startConfig(path: string): Promise<boolean> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  try {
    const file = await open(path, "wx", 0o600);
    try {
      await file.writeFile(FIRST_FILE);
      await file.sync();
    } finally {
      await file.close();
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}
