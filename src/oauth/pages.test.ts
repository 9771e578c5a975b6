import assert from "node:assert/strict";
import { test } from "node:test";
import { html, page } from "./pages.ts";

test("what a client calls itself is no markup, and hides nothing, on every page", () => {
  const name = '<b>"Bank"</b>\'`\u202ekcatta\u200b\u0007';
  const shown = "&lt;b&gt;&quot;Bank&quot;&lt;/b&gt;&#39;&#96;⟨U+202E⟩kcatta⟨U+200B⟩⟨U+0007⟩";
  assert.equal(html`<p>${name}</p>`.html, `<p>${shown}</p>`);
  assert.ok(page(name, html`<p>${[html`<i>${name}</i>`]}</p>`).includes(`<title>${shown} · Doorward</title>`));
});
