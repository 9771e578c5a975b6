/** The example of the documentation, with what is built today: every test of this folder may take it as good. */
export const EXAMPLE = `version: 1
server:
  listen: 127.0.0.1:7420
  public_url: https://broker.example.com        # OAuth issuer and audience
services:
  registrar:                                    # an HTTP API
    url: https://api.registrar.example/v1
    description: Domains and DNS
    environment: production
    owner: platform-team
    credential: { kind: bearer, secret: "local:registrar" }
    operations:                                 # the scope of an operation is service:operation
      domains:read:
        effect: read                            # read | write | destructive
        allow: [GET /domains, "GET /domains/{domain}"]
      records:delete:
        effect: destructive
        allow: ["DELETE /domains/{domain}/records"]
        query: { type: { enum: [A, AAAA, CNAME, TXT] } }
        approval:
          message: "Delete {preview.total} {query.type} records on {path.domain}"
          preview: "GET /domains/{path.domain}/records?type={query.type}"
    limits: { timeout: 30s, response: 1MiB }
    tenant: acme
  intranet:
    url: http://127.0.0.1:8080
    private: true                               # may be a private address, and plain HTTP only then
    credential: { kind: header, name: X-Api-Key, secret: "env:INTRANET_KEY" }
    operations: { all: { effect: read, allow: ["GET /{path...}"] } }
  github:                                       # an MCP server, started in a sandbox, given placeholders
    mcp: { command: npx, args: [-y, "@modelcontextprotocol/server-github@2025.4.8"] }
    credential: { kind: env, name: GITHUB_PERSONAL_ACCESS_TOKEN, secret: "local:github", hosts: [api.github.com] }
    sandbox: { network: ["api.github.com:443"], read: [], write: [], memory: 512MiB, cpu: 1, processes: 64 }
    operations:
      issues:read: { effect: read, tools: [get_issue, list_issues, "search_*"] }
  linear:
    mcp: { url: https://mcp.linear.app/mcp }
    credential: { kind: oauth2 }
    operations: { all: { effect: write, tools: ["*"], resources: ["*"] } }
roles:
  dns-reader: { allow: ["registrar:domains:read"], rate: 60/minute }
  dns-editor: { extends: [dns-reader], allow: ["registrar:records:*"] }
agents:
  dns-bot:
    roles: [dns-editor]
    tenant: acme
    environment: production
    purposes: [dns-automation]
    networks: [127.0.0.0/8]
    hours: "Mon-Fri 08:00-19:00 Europe/Berlin"
    expires: 2027-02-01
policies:                                       # order never matters
  - { id: ask-before-destroying, effect: ask, on: "*", when: 'operation.effect == "destructive"', approvers: { quorum: 1 } }
`;

/** A file with one service whose keys are `lines`, and nothing else. */
export function oneService(...lines: readonly string[]): string {
  return `version: 1\nservices:\n  api:\n${lines.map((line) => `    ${line}\n`).join("")}`;
}
