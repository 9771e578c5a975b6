/**
 * An upstream that is as careless as any: it reads a request in every way that some server is known to.
 * What an allowed request becomes in any of these readings must be allowed too.
 */

/** How many readings of one path are followed; each step only ever shortens or resolves, so few are needed. */
const READINGS_MAX = 400;

type Step = (path: string) => string;

const STEPS: readonly Step[] = [
  (path) => path.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16))),
  (path) => decodeUtf8(path),
  (path) => path.replace(/%u([0-9a-f]{4})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16))),
  (path) => path.replaceAll("\\", "/"),
  (path) => path.replace(/\/{2,}/g, "/"),
  (path) => path.replace(/;[^/]*/g, ""),
  (path) => path.normalize("NFKC"),
  (path) => path.replace(/[\u0000-\u0020\u007f-\u00a0\u200b-\u200f\u2028\u2029\ufeff]/g, ""),
  (path) =>
    path
      .split("/")
      .map((segment) => segment.replace(/(?<=[^.])\.+$/, ""))
      .join("/"),
  (path) => path.replace(/\0.*$/s, ""),
  (path) => path.replace(/[?#].*$/s, ""),
  (path) => resolveDots(path),
];

/** Every path that some chain of careless steps makes of this one, dots resolved. */
export function readingsOf(path: string): ReadonlySet<string> {
  const seen = new Set([path]);
  for (const one of seen) {
    for (const step of STEPS) seen.add(step(one));
    if (seen.size > READINGS_MAX) break;
  }
  return new Set([...seen].map((one) => resolveDots(one.replace(/\/{2,}/g, "/"))));
}

/** Methods that a framework may take this request for. */
export function methodsOf(request: {
  readonly method: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly query: string;
  readonly body: string;
}): ReadonlySet<string> {
  const found = new Set([request.method]);
  const note = (name: string, value: string) => {
    const folded = name
      .normalize("NFKC")
      .toLowerCase()
      .replace(/[^a-z]/g, "");
    const said = /^(x?(http)?methodoverride|xhttpmethod|method)$/.test(folded) && !/^method$/i.test(name.trim());
    if (said) found.add(value.trim().toUpperCase());
  };
  for (const [name, value] of Object.entries(request.headers)) note(name, String(value));
  for (const text of [request.query, request.body]) {
    for (const pair of text.split(/[&;]/)) {
      const equals = pair.indexOf("=");
      // A quote is part of the name: no reader of forms drops it.
      if (equals > 0 && !pair.startsWith('"'))
        note(decodeUtf8(decodeUtf8(pair.slice(0, equals).replaceAll("+", " "))), decodeUtf8(pair.slice(equals + 1)));
    }
  }
  for (const [, name = "", value = ""] of request.body.matchAll(/"((?:[^"\\]|\\.)*)"\s*:\s*"([A-Za-z]+)"/g))
    note(readEscapes(name), value);
  for (const [, name = "", value = ""] of request.body.matchAll(
    /name="?([^"\r\n;]+)"?[^\r\n]*\r?\n(?:[^\r\n]+\r?\n)*\r?\n([A-Za-z]+)/gi,
  ))
    note(name, value);
  return found;
}

function readEscapes(text: string): string {
  return text.replace(/\\u([0-9a-f]{4})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** Percent-decodes what is UTF-8, and leaves what is not. */
function decodeUtf8(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (run) => Buffer.from(run.replaceAll("%", ""), "hex").toString("utf8"));
}

function resolveDots(path: string): string {
  const kept: string[] = [];
  for (const segment of path.split("/").slice(1)) {
    if (segment === "..") kept.pop();
    else if (segment !== ".") kept.push(segment);
  }
  return `/${kept.join("/")}`;
}
