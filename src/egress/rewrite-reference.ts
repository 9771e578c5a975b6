/** How the caller's view of a service maps to the real one. */
export interface ReferenceView {
  /** `https://api.example` */
  readonly origin: string;
  /** `""` or `/v1` */
  readonly basePath: string;
  /** The path of the request that was answered: what a relative reference is relative to. */
  readonly path: string;
  /** What the caller sees in place of origin and base path. */
  readonly publicBase: string;
}

/**
 * Rewrites a `Location` so that the caller can follow it through Doorward.
 *
 * @returns `undefined` when it leads out of the service (another origin, or above the base path) or is no URL.
 */
export function rewriteLocation(value: string, view: ReferenceView): string | undefined {
  const url = resolveReference(value, view);
  return url === undefined ? undefined : underPublicBase(url, view);
}

/**
 * Rewrites the targets of a `Link` header: those within the service to the caller's view of it (so that an SDK's
 * pagination stays on its base URL), the others to absolute URLs.
 *
 * @returns `undefined` when the header is malformed.
 * @see RFC 8288 §3
 */
export function rewriteLink(value: string, view: ReferenceView): string | undefined {
  let out = "";
  let rest = 0;
  let quoted = false;
  for (let at = 0; at < value.length; at += 1) {
    const char = value[at];
    if (quoted) {
      if (char === "\\") at += 1;
      else if (char === '"') quoted = false;
    } else if (char === '"') {
      quoted = true;
    } else if (char === "<") {
      const close = value.indexOf(">", at);
      const url = close < 0 ? undefined : resolveReference(value.slice(at + 1, close), view);
      if (url === undefined) return undefined;
      out += `${value.slice(rest, at)}<${underPublicBase(url, view) ?? url.href}>`;
      rest = close + 1;
      at = close;
    }
  }
  return quoted ? undefined : out + value.slice(rest);
}

function resolveReference(value: string, view: ReferenceView): URL | undefined {
  const url = URL.parse(value, view.origin + view.path);
  return url === null || url.username !== "" || url.password !== "" ? undefined : url;
}

function underPublicBase(url: URL, { origin, basePath, publicBase }: ReferenceView): string | undefined {
  if (url.origin !== new URL(origin).origin) return undefined;
  if (url.pathname !== basePath && !url.pathname.startsWith(`${basePath}/`)) return undefined;
  return publicBase + url.pathname.slice(basePath.length) + url.search + url.hash;
}
