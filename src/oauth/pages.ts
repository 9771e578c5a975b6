import type { Context } from "oidc-provider";
import { escapeHtml } from "../base/escape-html.ts";

/** HTML that was made of escaped parts. */
export type Html = { readonly html: string };

/** Makes HTML: every value is escaped, unless it is {@link Html} already. */
export function html(parts: TemplateStringsArray, ...values: readonly (string | Html | readonly Html[])[]): Html {
  const text = (value: string | Html | readonly Html[]): string => {
    if (typeof value === "string") return escapeHtml(value);
    return "html" in value ? value.html : value.map(text).join("");
  };
  return { html: parts.map((part, at) => (at === 0 ? part : text(values[at - 1]!) + part)).join("") };
}

const STYLE =
  "body{font:16px/1.5 system-ui,sans-serif;max-width:38rem;margin:4rem auto;padding:0 1rem}code{overflow-wrap:anywhere}" +
  "input{font:inherit;padding:.4rem}button{font:inherit;padding:.4rem 1.2rem;margin-right:1rem}dt{font-weight:600}";

/** Headers of every page: nothing runs on it, nothing is loaded, and nobody can frame it. */
export const PAGE_HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
  "x-frame-options": "DENY",
  "x-content-type-options": "nosniff",
  // Not `no-referrer`: with it a browser says `Origin: null` on our own form.
  "referrer-policy": "same-origin",
} as const;

/** A whole page. */
export function page(title: string, body: Html): string {
  return html`<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${title} · Doorward</title><style>${{ html: STYLE }}</style></head><body><h1>${title}</h1>${body}</body></html>`
    .html;
}

/** Answers oidc-provider's context with a page that says something. */
export function messagePage(ctx: Context, title: string, text: string): void {
  send(ctx, page(title, html`<p>${text}</p>`));
}

/** Answers with a form of oidc-provider, which it escaped itself; its one field gets a label and loses its script. */
export function devicePage(ctx: Context, text: string, given: string, action: string): void {
  const form = given
    .replaceAll(/ onfocus="[^"]*"/g, "")
    .replace(/<input\s[^>]*name="user_code"[^>]*placeholder[^>]*>/, (input) => `<label>Code ${input}</label>`);
  const id = /<form[^>]* id="([a-zA-Z.]+)"/.exec(form)?.[1] ?? "";
  send(
    ctx,
    page(
      "Connect a device",
      html`<p>${text}</p>${{ html: form }}<button type="submit" form="${id}">${action}</button>`,
    ),
  );
}

function send(ctx: Context, body: string): void {
  for (const [name, value] of Object.entries(PAGE_HEADERS)) ctx.set(name, value);
  ctx.body = body;
}
