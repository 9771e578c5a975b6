import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { runFilter } from "./bpf.testing.ts";
import { DENIED_CALLS, JUDGED_CALLS, type SeccompArch } from "./seccomp-numbers.ts";
import { seccompProgram } from "./seccomp-program.ts";

/** The opcode that ends a filter: it jumps nowhere. */
const RETURN = 0x06;
const ALLOW = 0x7fff0000;
const KILL = 0x80000000;
const EPERM = 0x00050001;
const ENOSYS = 0x00050026;
const NATIVE = { x64: 0xc000003e, arm64: 0xc00000b7 };
/** i386, 32-bit ARM, and each other. */
const FOREIGN = { x64: [0x40000003, 0xc00000b7, 0], arm64: [0x40000028, 0xc000003e, 0] };
const ARCHES: readonly SeccompArch[] = ["x64", "arm64"];

for (const [index, arch] of ARCHES.entries()) {
  const program = seccompProgram(arch);
  const run = (number: number, ...args: bigint[]) => runFilter(program, { arch: NATIVE[arch], number, args });
  const judged = (call: keyof typeof JUDGED_CALLS, ...args: bigint[]) => {
    const number = JUDGED_CALLS[call][index];
    return number === undefined ? undefined : run(number, ...args);
  };

  test(`${arch}: the kernel takes the filter: whole instructions, at most 4096, jumps within`, () => {
    assert.equal(program.length % 8, 0);
    assert.ok(program.length / 8 < 256, "a jump reaches 255 instructions");
    for (let at = 0; at < program.length / 8; at++) {
      if (program.readUInt16LE(at * 8) === RETURN) continue;
      const reach = Math.max(program.readUInt8(at * 8 + 2), program.readUInt8(at * 8 + 3));
      assert.ok(at + 1 + reach < program.length / 8, `jump at ${at}`);
    }
  });

  for (const [name, numbers] of Object.entries(DENIED_CALLS)) {
    const number = numbers[index];
    if (number !== undefined)
      test(`${arch}: ${name} is refused, whatever its arguments`, () => {
        fc.assert(
          fc.property(
            fc.array(fc.bigInt(0n, 2n ** 64n - 1n), { maxLength: 6 }),
            (args) => run(number, ...args) === EPERM,
          ),
          { numRuns: 20 },
        );
      });
  }

  test(`${arch}: every call that is neither listed nor judged is allowed`, () => {
    const special = new Set(
      [...Object.values(DENIED_CALLS), ...Object.values(JUDGED_CALLS)].map((both) => both[index]),
    );
    for (let number = 0; number < 600; number++)
      if (!special.has(number)) assert.equal(run(number), ALLOW, `${number}`);
  });

  test(`${arch}: another architecture ends the process`, () => {
    for (const foreign of FOREIGN[arch])
      for (const number of [0, 1, 59, 101]) assert.equal(runFilter(program, { arch: foreign, number }), KILL);
  });

  test(`${arch}: clone makes processes and threads, and no namespace; the high half of the flags is nothing`, () => {
    assert.equal(judged("clone", 17n), ALLOW);
    assert.equal(judged("clone", 0x003d0f00n), ALLOW, "a thread of glibc");
    for (const flag of [0x20000n, 0x02000000n, 0x04000000n, 0x08000000n, 0x10000000n, 0x20000000n, 0x40000000n]) {
      assert.equal(judged("clone", flag | 17n), EPERM);
      assert.equal(judged("clone", flag | 17n | (1n << 40n)), EPERM);
    }
    assert.equal(judged("clone3"), ENOSYS);
  });

  test(`${arch}: sockets of UNIX, IPv4, IPv6 and the list of interfaces, and of no other family`, () => {
    for (const family of [1n, 2n, 10n]) assert.equal(judged("socket", family, 1n, 0n), ALLOW);
    assert.equal(judged("socket", 16n, 3n, 0n), ALLOW);
    for (let protocol = 1n; protocol < 23n; protocol++) assert.equal(judged("socket", 16n, 3n, protocol), EPERM);
    for (let family = 0n; family < 50n; family++)
      if (![1n, 2n, 10n, 16n].includes(family)) assert.equal(judged("socket", family, 1n, 0n), EPERM, `${family}`);
  });

  test(`${arch}: no typing into a terminal, also with the high half of the command set`, () => {
    assert.equal(judged("ioctl", 0n, 0x5401n), ALLOW);
    for (const command of [0x5412n, 0x541cn, 0x5412n | (1n << 32n)]) assert.equal(judged("ioctl", 0n, command), EPERM);
  });

  test(`${arch}: no other personality, no set-user-id and set-group-id programs`, () => {
    assert.equal(judged("personality", 0n), ALLOW);
    assert.equal(judged("personality", 0xffffffffn), ALLOW);
    assert.equal(judged("personality", 0x0040000n), EPERM);
    for (const [call, at] of [
      ["chmod", 1],
      ["fchmod", 1],
      ["fchmodat", 2],
      ["fchmodat2", 2],
    ] as const) {
      if (JUDGED_CALLS[call][index] === undefined) continue;
      const mode = (bits: bigint) => judged(call, ...[0n, 0n, 0n].with(at, bits));
      assert.equal(mode(0o755n), ALLOW);
      assert.equal(mode(0o1777n), ALLOW);
      for (const bits of [0o4755n, 0o2755n, 0o6000n]) assert.equal(mode(bits), EPERM, call);
    }
  });
}

test("x64: calls of the x32 ABI end the process", () => {
  for (const number of [0, 101, 165])
    assert.equal(runFilter(seccompProgram("x64"), { arch: NATIVE.x64, number: number + 0x40000000 }), KILL);
});
