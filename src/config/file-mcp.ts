import { z } from "zod";
import { parseHostPort } from "./host-port.ts";
import { parsed } from "./parsed.ts";
import { parseByteSize } from "./quantity.ts";
import { parseSandboxPath } from "./sandbox-path.ts";
import type { SandboxConfig } from "./schema.ts";
import { CREDENTIAL_MARK, parseServerArgument, parseVariableName, parseVariableValue } from "./server-environment.ts";
import { parseServiceUrl } from "./service-url.ts";
import { line, read, readNumeric, record } from "./zod-fields.ts";

const MEBIBYTE = 1_048_576;
const MIN_MEMORY_BYTES = 64 * MEBIBYTE;
const DEFAULT_MEMORY_BYTES = 512 * MEBIBYTE;
const MAX_MEMORY_BYTES = 65_536 * MEBIBYTE;
const MIN_CORES = 0.1;
const MAX_CORES = 256;
const DEFAULT_PROCESSES = 64;
const MAX_PROCESSES = 4_096;
const MAX_ARGS = 200;
const MAX_HOSTS = 100;
const MAX_PATHS = 100;

/** The key `mcp` of a service: a server to start, or one elsewhere. Which of the two is for `shape-service.ts`. */
export const mcpEntry = z
  .strictObject({
    command: line(1_000).optional().meta({
      description: "The program of a server that Doorward starts; `npx` means a package, installed outside and pinned.",
    }),
    args: z
      .array(read("text", parseServerArgument))
      .max(MAX_ARGS)
      .optional()
      .meta({ description: `Its arguments; \`${CREDENTIAL_MARK}\` becomes the placeholder.`, standard: [] }),
    cwd: read("path", parseSandboxPath).optional().meta({ description: "The folder it is started in." }),
    env: record("variable", parseVariableName, read("text", parseVariableValue))
      .optional()
      .meta({ description: "Its plain variables, beside Doorward's own. No secret may stand here.", standard: {} }),
    url: read("url", parseEndpointUrl)
      .optional()
      .meta({ description: "The endpoint of a server that runs elsewhere." }),
    sse: z
      .boolean()
      .optional()
      .meta({ description: "It speaks the old HTTP+SSE transport of 2024-11-05.", standard: false }),
  })
  .meta({ description: "An MCP server in place of an HTTP API: `command`, or `url`." });

/** The key `sandbox` of a service. */
export const sandboxEntry = z
  .strictObject({
    mode: z.enum(["strict", "degraded", "off"]).optional().meta({
      description:
        "With `strict` a server whose sandbox cannot be built does not start; the others are recorded at each start.",
      standard: "strict",
    }),
    network: z.array(read("host", parseHostPort)).max(MAX_HOSTS).optional().meta({
      description: "Hosts that it may reach beside its credential's: `HOST` or `HOST:PORT` (443).",
      standard: [],
    }),
    read: z
      .array(read("path", parseSandboxPath))
      .max(MAX_PATHS)
      .optional()
      .meta({ description: "Files and folders that it may read, beside its own program.", standard: [] }),
    write: z
      .array(read("path", parseSandboxPath))
      .max(MAX_PATHS)
      .optional()
      .meta({ description: "Files and folders that it may read and write.", standard: [] }),
    memory: readNumeric("size", (input) => parseByteSize(input, { min: MIN_MEMORY_BYTES, max: MAX_MEMORY_BYTES }))
      .optional()
      .meta({ description: "What all its processes may hold.", standard: "512MiB" }),
    cpu: z.number().min(MIN_CORES).max(MAX_CORES).optional().meta({ description: "Cores.", standard: 1 }),
    processes: z
      .number()
      .int()
      .min(1)
      .max(MAX_PROCESSES)
      .optional()
      .meta({ description: "Processes and threads together.", standard: DEFAULT_PROCESSES }),
  })
  .meta({ description: "What a server that Doorward starts may reach and use; all else is closed." });

/** The sandbox that a service has, with what its file leaves out. */
export function sandboxOf(from: z.output<typeof sandboxEntry> | undefined): SandboxConfig {
  return {
    mode: from?.mode ?? "strict",
    network: from?.network ?? [],
    read: from?.read ?? [],
    write: from?.write ?? [],
    memoryBytes: from?.memory ?? DEFAULT_MEMORY_BYTES,
    cpu: from?.cpu ?? 1,
    processes: from?.processes ?? DEFAULT_PROCESSES,
  };
}

/** An endpoint is one path: its final slash, where it has one, is part of it. */
function parseEndpointUrl(text: string) {
  const url = parseServiceUrl(text);
  if (!url.ok) return url;
  const slash = text.endsWith("/") || url.value.basePath === "" ? "/" : "";
  return parsed({ ...url.value, basePath: url.value.basePath + slash });
}
