/** One system call, as a filter sees it. */
export interface SeccompCall {
  readonly arch: number;
  readonly number: number;
  /** Six at most; 64 bits each. */
  readonly args?: readonly bigint[];
}

/** Runs a filter of system calls as the kernel does, for the opcodes that ours has. Throws for a filter the kernel refuses. */
export function runFilter(program: Buffer, call: SeccompCall): number {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(call.number >>> 0, 0);
  data.writeUInt32LE(call.arch >>> 0, 4);
  for (const [index, value] of (call.args ?? []).entries())
    data.writeBigUInt64LE(BigInt.asUintN(64, value), 16 + 8 * index);
  const length = program.length / 8;
  let loaded = 0;
  for (let at = 0; at < length; ) {
    const [code, jt, jf, k] = [
      program.readUInt16LE(at * 8),
      program.readUInt8(at * 8 + 2),
      program.readUInt8(at * 8 + 3),
      program.readUInt32LE(at * 8 + 4),
    ];
    if (code === 0x06) return k;
    if (code === 0x20) {
      if (k % 4 !== 0 || k > 60) throw new Error(`load at ${k}`);
      loaded = data.readUInt32LE(k);
      at += 1;
      continue;
    }
    const tests: Record<number, boolean> = { 21: loaded === k, 53: loaded >= k, 69: (loaded & k) !== 0 };
    const holds = tests[code];
    if (holds === undefined) throw new Error(`opcode ${code}`);
    at += 1 + (holds ? jt : jf);
  }
  throw new Error("the filter has no end");
}
