import type { SideRoute } from "./create-front.ts";

const PREFIX = "/console/approvals/";

/** Where the link of a held call leads while there is no console: what to type. It tells nothing of the approval. */
export const approvalPage: SideRoute = (request, response, requestId) => {
  const path = request.url?.split("?", 1)[0] ?? "";
  const id = path.startsWith(PREFIX) ? path.slice(PREFIX.length) : "";
  if (request.method !== "GET" || !/^apr_[0-9a-z]{1,64}$/.test(id)) return false;
  const body = Buffer.from(
    `A call waits for an answer. On the machine where Doorward runs:\n\n  doorward approvals show ${id}\n` +
      `  doorward approvals approve ${id}\n  doorward approvals deny ${id} --why "…"\n`,
  );
  response.writeHead(200, {
    "content-type": "text/plain; charset=utf-8",
    "content-length": body.length,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "doorward-request-id": requestId,
  });
  response.end(body);
  return true;
};
