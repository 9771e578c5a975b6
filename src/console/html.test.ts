import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { html } from "./html.ts";

test("what stands in a hole is text, in an element and in an attribute", () => {
  const evil = `"><script>alert('x')</script>&`;
  assert.equal(
    html`<p title="${evil}">${evil}</p>`.text,
    `<p title="&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;">&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;</p>`,
  );
});

test("signs that hide or reorder are shown", () => {
  const shown = html`${"a\u202eb\u200bc\u0000d\ue000e\ufe0f"}`.text;
  assert.equal(shown, "a⟨U+202E⟩b⟨U+200B⟩c⟨U+0000⟩d⟨U+E000⟩e⟨U+FE0F⟩");
  assert.equal(html`${"a\n\tb"}`.text, "a\n\tb");
});

test("markup in markup stays; lists are joined; nothing is nothing", () => {
  assert.equal(
    html`<ul>${["<", "b"].map((one) => html`<li>${one}</li>`)}</ul>${undefined}${false}${0}`.text,
    "<ul><li>&lt;</li><li>b</li></ul>0",
  );
});

test("no text breaks out, whatever it is", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const inner = html`<i title="${text}">${text}</i>`.text;
      assert.equal(inner.match(/[<>"]/g)?.length, 6);
      assert.ok(!inner.includes("\u202e"));
    }),
    { numRuns: 300 },
  );
});
