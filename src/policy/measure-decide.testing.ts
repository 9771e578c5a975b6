/**
 * Measures one decision against the size of the rules: `node src/policy/measure-decide.testing.ts`.
 *
 * Not a test: figures depend on the machine. What should be seen is that they do not grow with rules and agents.
 */
import { decide } from "./decide.ts";
import { agent, operation, policy, question, role, service, snapshotOf } from "./policy.testing.ts";

const ROUNDS = 20_000;

for (const [rules, agents] of [
  [10, 10],
  [1_000, 100],
  [10_000, 1_000],
] as const) {
  const services = Array.from({ length: 20 }, (_, index) =>
    service(index === 0 ? "dns" : `svc${index}`, [
      operation("read", { allow: ["GET /domains/{domain}"] }),
      operation("write", { effect: "write", allow: ["POST /domains/{domain}"] }),
    ]),
  );
  const started = performance.now();
  const snapshot = snapshotOf({
    services,
    roles: Array.from({ length: rules / 2 }, (_, index) =>
      role(`role${index}`, [index === 0 ? "dns:*" : `svc${index % 20}:read`]),
    ),
    agents: [
      agent("bot", ["role0", "role1"]),
      ...Array.from({ length: agents }, (_, index) => agent(`bot${index}`, [`role${index % 5}`])),
    ],
    policies: [
      policy("big", "forbid", { on: ["dns:write"], when: "request.size > 1000000" }),
      policy("nights", "ask", { when: 'operation.effect != "read" && (now.hour < 8 || now.hour >= 19)' }),
      ...Array.from({ length: rules / 2 }, (_, index) =>
        policy(`p${index}`, "forbid", { agents: [`bot${index % agents}`] }),
      ),
    ],
  });
  const compiled = performance.now();
  const asked = question(snapshot, "GET /domains/a.example");
  for (let round = 0; round < ROUNDS; round++) decide(asked);
  const begin = performance.now();
  for (let round = 0; round < ROUNDS; round++) decide(asked);
  const microseconds = ((performance.now() - begin) * 1_000) / ROUNDS;
  process.stdout.write(
    `${rules} rules, ${agents} agents: ${microseconds.toFixed(2)} µs a decision, compiled in ${(compiled - started).toFixed(0)} ms\n`,
  );
}
