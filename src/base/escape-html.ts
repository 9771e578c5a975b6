const MARKUP: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
  "`": "&#96;",
};
/** Signs that hide or reorder others: what is approved must be what is read. */
const STEERING = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Default_Ignorable_Code_Point}\u2028\u2029\u2800]/gu;

/** Text as it stands between tags and in quoted attributes of a page: no markup, and every sign of it to be seen. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"'`]/g, (sign) => MARKUP[sign]!).replace(STEERING, shownSign);
}

function shownSign(sign: string): string {
  if (sign === "\n" || sign === "\t") return sign;
  return `⟨U+${sign.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}⟩`;
}
