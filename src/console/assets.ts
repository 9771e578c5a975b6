/** The console's one style sheet. */
export const STYLE = `
:root { color-scheme: light dark; --line: #8886; --accent: light-dark(#0a58ca, #8ab4f8); --bad: light-dark(#b3261e, #f2a19a); --quiet: light-dark(#5c5c5c, #a8a8a8); }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; }
header { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: center; padding: .75rem 1.5rem; border-bottom: 1px solid var(--line); }
header nav { display: flex; gap: 1rem; flex: 1; }
main { max-width: 64rem; margin: 0 auto; padding: 1rem 1.5rem; }
footer { color: var(--quiet); padding: 1rem 1.5rem; font-size: .85rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .4rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td:last-child { white-space: nowrap; }
pre { border: 1px solid var(--line); padding: .75rem; white-space: pre-wrap; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
form.action { border: 1px solid var(--line); padding: 1rem; margin: 1rem 0; display: flex; flex-wrap: wrap; gap: .75rem; align-items: center; }
input, select, button { font: inherit; padding: .3rem .6rem; }
label { display: flex; flex-wrap: wrap; gap: .25rem .75rem; align-items: center; }
label:has(input) { flex: 1; } label input { flex: 1; min-width: min(12rem, 100%); }
select { max-width: 100%; } ::placeholder { color: var(--quiet); opacity: 1; }
button { cursor: pointer; color: inherit; background: light-dark(#efefef, #333); border: 1px solid var(--line); border-radius: .25rem; } button.no { color: var(--bad); }
.note { border-left: 4px solid var(--accent); padding: .25rem .75rem; }
.bad { border-left-color: var(--bad); }
a { color: var(--accent); }
@media (max-width: 40rem) {
  header, main, footer { padding-left: 1rem; padding-right: 1rem; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; }
  thead { display: none; } tr { display: block; border-bottom: 1px solid var(--line); padding: .4rem 0; }
  td { display: block; border: 0; padding: .1rem 0; overflow-wrap: anywhere; }
  td::before { content: attr(data-column) ": "; color: var(--quiet); }
}
`;

/**
 * The console's one script: passkeys, which have no form. Everything else works without it.
 *
 * A form that needs a passkey is held, its fields are sent to ask for a challenge, and the answer goes with it.
 */
export const SCRIPT = `"use strict";
const toBytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const toText = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\\+/g, "-").replace(/\\//g, "_").replace(/=+$/, "");
const withBytes = (list) => (list || []).map((one) => ({ ...one, id: toBytes(one.id) }));
async function ask(url, form) {
  const answer = await fetch(url, { method: "POST", body: new URLSearchParams(new FormData(form)), credentials: "same-origin" });
  if (!answer.ok) throw new Error((await answer.json()).detail || "refused");
  return answer.json();
}
async function create(form) {
  const options = await ask("/console/passkey/creation", form);
  const publicKey = { ...options, challenge: toBytes(options.challenge), user: { ...options.user, id: toBytes(options.user.id) }, excludeCredentials: withBytes(options.excludeCredentials) };
  const { response } = await navigator.credentials.create({ publicKey });
  return { clientDataJSON: toText(response.clientDataJSON), attestationObject: toText(response.attestationObject) };
}
async function use(form) {
  const options = await ask("/console/passkey/request", form);
  const publicKey = { ...options, challenge: toBytes(options.challenge), allowCredentials: withBytes(options.allowCredentials) };
  const { id, response } = await navigator.credentials.get({ publicKey });
  return { id, clientDataJSON: toText(response.clientDataJSON), authenticatorData: toText(response.authenticatorData), signature: toText(response.signature) };
}
for (const form of document.querySelectorAll("form[data-passkey]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const note = form.querySelector(".answer");
    try {
      const answer = await (form.dataset.passkey === "create" ? create(form) : use(form));
      form.querySelector("input[name=passkey]").value = JSON.stringify(answer);
      form.submit();
    } catch (error) {
      note.textContent = "The passkey was not used: " + error.message;
    }
  });
}
`;
