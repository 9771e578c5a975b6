import assert from "node:assert/strict";
import type { FileHandle } from "node:fs/promises";
import { describe, test } from "node:test";
import { readAt, writeAt } from "./durable-files.ts";

/** Takes and gives at most `step` bytes at a time, and no more than `room` in all. */
function slowFile(step: number, room: number): { readonly handle: FileHandle; readonly held: Buffer } {
  const held = Buffer.alloc(room);
  const count = (length: number, position: number) => Math.max(0, Math.min(step, length, room - position));
  const file = {
    async write(bytes: Buffer, from: number, length: number, position: number) {
      const bytesWritten = count(length, position);
      bytes.copy(held, position, from, from + bytesWritten);
      return { bytesWritten };
    },
    async read(bytes: Buffer, into: number, length: number, position: number) {
      const bytesRead = count(length, position);
      held.copy(bytes, into, position, position + bytesRead);
      return { bytesRead };
    },
  };
  return { handle: file as unknown as FileHandle, held };
}

describe("a file that takes and gives less than was asked for", () => {
  test("is written and read to the end", async () => {
    const { handle, held } = slowFile(3, 10);
    await writeAt(handle, Buffer.from("12345678"), 2);
    assert.equal(held.toString("latin1"), "\0\x0012345678");
    assert.equal(String(await readAt(handle, 20, 2)), "12345678");
  });

  test("is an error when it takes no more: what is missing does not count as written", async () => {
    await assert.rejects(writeAt(slowFile(3, 10).handle, Buffer.alloc(11), 0), /no more bytes/);
  });
});
