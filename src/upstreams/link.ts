import type { Transport } from "@modelcontextprotocol/client";

/** The wire to one upstream server: a child's pipes, or requests over HTTP. */
export interface Link {
  readonly transport: Transport;
  readonly facts: LinkFacts;
  /** The last of what it wrote to standard error, as it wrote it. */
  stderr(): readonly string[];
  /** What it sent that made no sense, by kind. */
  ignored(): { readonly [why: string]: number };
  /** Resolves when nothing goes through it any more. Never rejects. */
  readonly closed: Promise<void>;
  /** How it ended; `undefined` while it is open. */
  ending(): LinkEnding | undefined;
  /**
   * Ends it: the child with all that it started. Resolves when it is gone; never rejects.
   *
   * @param graceMs - How long a child may take to end by itself.
   */
  close(why: string, graceMs?: number): Promise<void>;
}

export interface LinkEnding {
  /** Whether the peer ended it, or we did. */
  readonly by: "peer" | "us";
  /** One clause that begins with `it` or is our own reason. */
  readonly why: string;
}

/** What is recorded of a link when it is opened. */
export interface LinkFacts {
  readonly transport: "stdio" | "http";
  /** Of a child: how it is confined. */
  readonly mode: string | undefined;
  readonly limits: { readonly [name: string]: string } | undefined;
  /** Of an installed package: its name with version, and its integrity hash. */
  readonly package: { readonly name: string; readonly integrity: string } | undefined;
}
