/** One way in which an API may write a secret, for the table in docs/promises.md. */
export interface ScrubbedEncoding {
  readonly name: string;
  /** What counts as this encoding: which characters, which case, which bounds. */
  readonly scope: string;
  /** `s3cr3t/"key"` written so. */
  readonly example: string;
}

/**
 * The published list: a secret written in any of these ways does not reach an agent.
 *
 * `escape` entries apply to any of the `form` entries, to any subset of the characters, and within each other up to three
 * deep, in any order. A test goes through the list.
 */
export const SCRUBBED_ENCODINGS: {
  readonly forms: readonly ScrubbedEncoding[];
  readonly escapes: readonly ScrubbedEncoding[];
} = {
  forms: [
    { name: "plain text", scope: "UTF-8; Latin-1 where it can write the secret", example: 's3cr3t/"key"' },
    { name: "UTF-16", scope: "little and big endian", example: "s\\0003\\000c\\000r\\0003\\000…" },
    { name: "doubled UTF-8", scope: "UTF-8 that was taken for Latin-1 and encoded again", example: "Ã© for é" },
    {
      name: "hex",
      scope: "of the secret, plain or as JSON writes it; letters in either case, mixed",
      example: "7333637233742f226b657922",
    },
    {
      name: "base64, base64url",
      scope:
        "of the secret, plain or as JSON writes it; at any place in a larger base64 text, as in Basic credentials; with or without padding",
      example: "czNjcjN0LyJrZXki",
    },
    {
      name: "base64 within base64",
      scope: "of secrets up to 8 KiB, the inner one and the outer one at any place",
      example: "Y3pOamNqTjBMeUpyWlhraQ==",
    },
  ],
  escapes: [
    {
      name: "percent-encoding",
      scope: "either case; `+` for a space; JavaScript's `%u0041`",
      example: "s3cr3t%2F%22key%22",
    },
    {
      name: "JSON and JavaScript strings",
      scope: '`\\"` `\\\\` `\\/` `\\n` and their kin, `\\u0041` and surrogate pairs, `\\x41`, `\\u{41}`, `\\U00000041`',
      example: 's3cr3t\\/\\u0022key\\"',
    },
    {
      name: "HTML and XML",
      scope: "`&#65;` and `&#x41;` with up to ten digits, and the names of the ASCII characters",
      example: "s3cr3t/&quot;key&#x22;",
    },
    {
      name: "within each other",
      scope: "any two or three of these, as JSON in JSON",
      example: 's3cr3t\\\\\\/\\\\\\"key%5C%22',
    },
  ],
};

/** What an answer may do to a secret that the scrubber does not undo. Published, so that nobody finds out by losing one. */
export const NOT_SCRUBBED: readonly string[] = [
  "secrets under 8 bytes (`secret set --short`), in any form",
  "a part of the secret: its beginning, its last four characters, or pieces with something between them",
  "base64 or hex that is broken into lines or groups, where the break falls within the secret",
  "another case than the secret's own, but for the letters A to F",
  "digests, ciphertexts, compressed data within the answer, base32, base58, octal escapes, reversal, and other transformations",
  "base64 of text in which the secret stands escaped in another way than JSON does it, and base64 of UTF-16",
  "more than three escapes within each other, and a character whose escape takes more than 768 bytes",
  "of a secret over 512 bytes in base64, and of base64 within base64: the first character, if it shares up to four bits with what stands before",
];
