import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./free-port.testing.ts";
import { plainEnvironment, run } from "./run.testing.ts";

/** An nginx that runs. */
export interface TestNginx extends AsyncDisposable {
  readonly port: number;
  /** Resolves when it ends, whoever ends it. */
  readonly ended: Promise<void>;
}

/** The nginx of this machine; `undefined` when there is none. */
export async function findNginx(): Promise<string | undefined> {
  for (const name of ["nginx", "/usr/sbin/nginx"]) {
    const ran = await run(name, ["-v"]).catch(() => undefined);
    if (ran?.status === 0) return name;
  }
  return undefined;
}

/**
 * Starts nginx in a folder of its own. Whether it listens yet is for the caller to ask.
 *
 * @param http - What stands in its `http` block, for its folder and port.
 * @param files - Beside its configuration, by name.
 */
export async function startNginx(
  program: string,
  http: (at: { readonly folder: string; readonly port: number }) => string,
  files: Readonly<Record<string, string>> = {},
): Promise<TestNginx> {
  const folder = mkdtempSync(join(tmpdir(), "doorward-nginx-"));
  const port = await freePort();
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  const config = `daemon off; master_process off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log;
events { worker_connections 64; }
http {
  access_log off; ${paths.join(" ")}
${http({ folder, port })}
}
`;
  for (const [name, text] of Object.entries({ ...files, "nginx.conf": config }))
    writeFileSync(join(folder, name), text);
  const child = spawn(program, ["-p", folder, "-c", join(folder, "nginx.conf")], {
    env: plainEnvironment(),
    stdio: "ignore",
  });
  const ended = new Promise<void>((resolve) => child.on("close", () => resolve()));
  return {
    port,
    ended,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
