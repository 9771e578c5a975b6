import { DENIED_CALLS, JUDGED_CALLS, type SeccompArch } from "./seccomp-numbers.ts";

/** `struct seccomp_data`: where the parts of a call stand. Arguments are 64 bits; the kernel reads the low half of these. */
const AT = { number: 0, arch: 4, argument: (index: number) => 16 + 8 * index } as const;
/** `AUDIT_ARCH_*` of the two native 64-bit architectures. */
const AUDIT_ARCH = { x64: 0xc000003e, arm64: 0xc00000b7 } as const satisfies Record<SeccompArch, number>;
/** Calls of the x32 ABI carry this bit; they would pass by every number of the list. */
const X32_BIT = 0x40000000;

const RETURN = { allow: 0x7fff0000, kill: 0x80000000, eperm: 0x00050001, enosys: 0x00050026 } as const;

/** Every flag of `clone` that makes a namespace (`CLONE_NEWTIME` exists for `clone3` and `unshare` alone). */
const CLONE_NEW = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000;
const SOCKET_FAMILIES = { unix: 1, inet: 2, inet6: 10, netlink: 16 } as const;
/** `ioctl`s that type into a terminal. */
const TIOCSTI = 0x5412;
const TIOCLINUX = 0x541c;
/** `PER_LINUX`, and the question what it is now. */
const PERSONALITIES = [0, 0xffffffff] as const;
/** `S_ISUID` and `S_ISGID`: a program left in a writable folder must not run as the daemon's user. */
const SET_ID_BITS = 0o6000;

/** Opcodes of classic BPF that are used here. */
const CODE = { load: 0x20, equal: 0x15, atLeast: 0x35, anySet: 0x45, return: 0x06 } as const;

interface Instruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}

/**
 * The filter of system calls for a sandboxed program, as the bytes that bubblewrap loads: everything is allowed except
 * a list, and for some calls their arguments decide.
 *
 * - another architecture or ABI than the native one ends the process: its numbers mean other calls;
 * - the calls of {@link DENIED_CALLS} fail with EPERM;
 * - `clone` may not make namespaces; `clone3`, whose flags a filter cannot see, is ENOSYS, and libc then uses `clone`;
 * - sockets are UNIX, IPv4, IPv6, or the one netlink protocol that lists network interfaces;
 * - no typing into terminals, no other personality, no set-user-id programs.
 *
 * @returns An array of `struct sock_filter` in the machine's (little-endian) order.
 * @see seccomp(2); flatpak's list, which this one contains.
 */
export function seccompProgram(arch: SeccompArch): Buffer {
  const at = arch === "x64" ? 0 : 1;
  const denied = Object.values(DENIED_CALLS).flatMap((numbers) => numbers[at] ?? []);
  return encode([
    load(AT.arch),
    unless(CODE.equal, AUDIT_ARCH[arch], [ret(RETURN.kill)]),
    load(AT.number),
    ...(arch === "x64" ? [when(CODE.atLeast, X32_BIT, [ret(RETURN.kill)])] : []),
    ...denied.map((number) => when(CODE.equal, number, [ret(RETURN.eperm)])),
    ...judged(arch),
    ret(RETURN.allow),
  ]);
}

/** The calls whose arguments decide; each list of steps ends in a return. */
function judged(arch: SeccompArch): readonly Step[] {
  const at = arch === "x64" ? 0 : 1;
  const judge = (call: keyof typeof JUDGED_CALLS, steps: readonly Step[]) => {
    const number = JUDGED_CALLS[call][at];
    return number === undefined ? [] : [when(CODE.equal, number, steps)];
  };
  return [
    ...judge("clone3", [ret(RETURN.enosys)]),
    ...judge("clone", noneSet(0, CLONE_NEW)),
    ...judge("socket", judgeSocket()),
    ...judge("ioctl", [
      load(AT.argument(1)),
      when(CODE.equal, TIOCSTI, [ret(RETURN.eperm)]),
      when(CODE.equal, TIOCLINUX, [ret(RETURN.eperm)]),
      ret(RETURN.allow),
    ]),
    ...judge("personality", [
      load(AT.argument(0)),
      ...PERSONALITIES.map((value) => when(CODE.equal, value, [ret(RETURN.allow)])),
      ret(RETURN.eperm),
    ]),
    ...judge("chmod", noneSet(1, SET_ID_BITS)),
    ...judge("fchmod", noneSet(1, SET_ID_BITS)),
    ...judge("fchmodat", noneSet(2, SET_ID_BITS)),
    ...judge("fchmodat2", noneSet(2, SET_ID_BITS)),
  ];
}

function noneSet(argument: number, bits: number): readonly Step[] {
  return [load(AT.argument(argument)), when(CODE.anySet, bits, [ret(RETURN.eperm)]), ret(RETURN.allow)];
}

function judgeSocket(): readonly Step[] {
  return [
    load(AT.argument(0)),
    when(CODE.equal, SOCKET_FAMILIES.unix, [ret(RETURN.allow)]),
    when(CODE.equal, SOCKET_FAMILIES.inet, [ret(RETURN.allow)]),
    when(CODE.equal, SOCKET_FAMILIES.inet6, [ret(RETURN.allow)]),
    unless(CODE.equal, SOCKET_FAMILIES.netlink, [ret(RETURN.eperm)]),
    load(AT.argument(2)),
    when(CODE.equal, 0, [ret(RETURN.allow)]),
    ret(RETURN.eperm),
  ];
}

type Step = Instruction | readonly Instruction[];

function load(offset: number): Step {
  return { code: CODE.load, jt: 0, jf: 0, k: offset };
}

function ret(value: number): Step {
  return { code: CODE.return, jt: 0, jf: 0, k: value };
}

/** The steps run when the test holds; each list ends in a return, so that the accumulator is intact after it. */
function when(code: number, k: number, steps: readonly Step[]): Step {
  const body = steps.flat();
  return [{ code, jt: 0, jf: body.length, k }, ...body];
}

function unless(code: number, k: number, steps: readonly Step[]): Step {
  const body = steps.flat();
  return [{ code, jt: body.length, jf: 0, k }, ...body];
}

function encode(steps: readonly Step[]): Buffer {
  const program = steps.flat();
  const bytes = Buffer.alloc(program.length * 8);
  for (const [index, { code, jt, jf, k }] of program.entries()) {
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(jt, index * 8 + 2);
    bytes.writeUInt8(jf, index * 8 + 3);
    bytes.writeUInt32LE(k >>> 0, index * 8 + 4);
  }
  return bytes;
}
