import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, LOAD_CORE, type Program, SERVER_CORE, startProgram, startSilent } from "./processes.ts";
import { SAMPLE_ANSWER } from "./sample-answer.ts";

/** Whether nginx is installed. */
export const hasNginx = spawnSync("nginx", ["-v"]).status === 0;

/** Starts the upstream: nginx where it is installed, else {@link file://./upstream.ts}. */
export async function startUpstream(folder: string): Promise<Program> {
  if (!hasNginx) {
    return startProgram([process.execPath, join(import.meta.dirname, "upstream.ts")], {
      core: LOAD_CORE,
      ready: /ready on (\S+)/,
    });
  }
  const answer = SAMPLE_ANSWER.replaceAll("'", "\\'");
  return startNginx(
    join(folder, "upstream"),
    LOAD_CORE,
    (port) => `
    server {
      listen 127.0.0.1:${port};
      location / { default_type application/json; return 200 '${answer}'; }
    }`,
  );
}

/** Starts nginx as a reverse proxy that puts a bearer header on: what the wire itself allows. */
export function startNginxProxy(folder: string, upstream: string): Promise<Program> {
  return startNginx(
    join(folder, "proxy"),
    SERVER_CORE,
    (port) => `
    upstream api { server ${new URL(upstream).host}; keepalive 64; keepalive_requests 1000000000; }
    server {
      listen 127.0.0.1:${port};
      location / {
        proxy_pass http://api;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Authorization "Bearer sk-bench-0123456789abcdef0123456789abcdef";
      }
    }`,
  );
}

async function startNginx(folder: string, core: number, servers: (port: number) => string): Promise<Program> {
  mkdirSync(folder);
  const port = await freePort();
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (kind) => `${kind}_temp_path ${folder}/${kind};`,
  );
  writeFileSync(
    join(folder, "nginx.conf"),
    `daemon off; master_process off; pid ${folder}/pid; error_log stderr error;
    events { worker_connections 1024; }
    http {
      access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; ${temporary.join(" ")}
      ${servers(port)}
    }\n`,
  );
  return startSilent(["nginx", "-p", folder, "-e", "stderr", "-c", join(folder, "nginx.conf")], port, core);
}
