/** Letters of other scripts, and digits, that look like a Latin letter. The ones that names are faked with; not all of UTS #39. */
const LOOK_ALIKE: ReadonlyMap<string, string> = new Map(
  Object.entries({
    a: "аɑα４",
    b: "ЬƄвβ",
    c: "сϲᴄ",
    d: "ԁɗ",
    e: "еҽє℮ε",
    g: "ɡց",
    h: "һհн",
    i: "іıɩιlI1|ⅼ!ӏ",
    j: "јϳ",
    k: "кκ",
    m: "мⅿ",
    n: "ոηп",
    o: "оοօ0סه۰०",
    p: "рρ",
    q: "ԛգ",
    r: "гᴦ",
    s: "ѕꜱ5",
    t: "тτ",
    u: "υսц",
    v: "ѵνⅴ",
    w: "ѡԝω",
    x: "хχ×",
    y: "уүγ",
    z: "ᴢ2",
    _: "-‐‑‒–—−. /",
  }).flatMap(([plain, others]) => [...others].map((other) => [other, plain] as const)),
);

/**
 * What a name looks like at a glance: names with one form can be taken for each other.
 *
 * Case, separators, accents, full-width letters and look-alikes of other scripts do not count. Not for display.
 */
export function confusableForm(name: string): string {
  const folded = name.normalize("NFKD").replace(/[\p{M}\p{Cf}]/gu, "");
  const letters = Array.from(folded, (character) => LOOK_ALIKE.get(character) ?? lookAlike(character.toLowerCase()));
  return letters.join("").replaceAll("rn", "m").replaceAll("vv", "w").replace(/_+/g, "_");
}

function lookAlike(character: string): string {
  return LOOK_ALIKE.get(character) ?? character;
}
