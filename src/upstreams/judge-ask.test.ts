import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "../base/json.ts";
import { judgeAsk, relayedCapabilities } from "./judge-ask.ts";

const FORMS = { elicitation: {} };

function form(properties: JsonObject, message = "Please fill in") {
  return { message, requestedSchema: { type: "object", properties } };
}

function judge(params: JsonObject, capabilities: JsonObject = FORMS, method = "elicitation/create") {
  return judgeAsk({ method, params, service: "srv" }, capabilities);
}

test("a form that asks for a credential is declined, however the field is spelled", () => {
  const asking: readonly JsonObject[] = [
    { password: { type: "string" } },
    { passPhrase: { type: "string" } },
    { "api-key": { type: "string" } },
    { API_KEY: { type: "string" } },
    { apiKey: { type: "string" } },
    { ｐａｓｓｗｏｒｄ: { type: "string" } },
    { "pass\u200bword": { type: "string" } },
    { a: { type: "string", title: "Your access token" } },
    { a: { type: "string", description: "the GitHub PAT or personal access token" } },
    { a: { type: "string", description: "One-time code from your phone" } },
    { a: { anyOf: [{ type: "string", title: "Client secret" }] } },
    { a: { type: "string", format: "password" } },
    { otp: { type: "string" } },
  ];
  for (const properties of asking) {
    assert.deepEqual(
      judge(form(properties)),
      {
        kind: "answered",
        result: { action: "decline" },
        why: "the form asks for a credential",
      },
      JSON.stringify(properties),
    );
  }
  assert.equal(judge(form({ value: { type: "string" } }, "Enter your API key to go on")).kind, "answered");
});

test("an ordinary form passes, with its origin in front", () => {
  const judged = judge(form({ nickname: { type: "string" }, size: { enum: ["s", "m"] } }, "4 tokens used. Go on?"));
  assert.equal(judged.kind, "ask");
  assert.equal(judged.kind === "ask" && judged.params["message"], "[srv] 4 tokens used. Go on?");
});

test("a form that warns of giving away a pin does not ask for one", () => {
  const description = "Your favorite integer (do not give us your phone number, pin, or other sensitive info)";
  assert.equal(judge(form({ integer: { type: "integer", title: "Favorite Integer", description } })).kind, "ask");
});

test("the label cannot be hidden", () => {
  const judged = judge(form({}, "\u202eevil\u0008\u001b[2K"));
  assert.equal(judged.kind === "ask" && judged.params["message"], "[srv] evil[2K");
});

test("only what was declared is asked", () => {
  assert.equal(judge(form({}), {}).kind, "refused");
  assert.equal(judge({ mode: "url", message: "m", url: "https://a.example" }).kind, "refused");
  assert.equal(judge({ mode: "form", ...form({}) }, { elicitation: { url: {} } }).kind, "refused");
  assert.equal(judge({}, FORMS, "sampling/createMessage").kind, "refused");
  assert.equal(judge({}, FORMS, "roots/list").kind, "refused");
  assert.equal(judge({}, FORMS, "constructor").kind, "refused");
  assert.equal(judge({}, { roots: {} }, "roots/list").kind, "ask");
  assert.equal(judge({ mode: "__proto__" }).kind, "refused");
});

test("a link must be https", () => {
  const links = { elicitation: { url: {} } };
  const ask = (url: string) => judge({ mode: "url", message: "m", url }, links).kind;
  assert.equal(ask("https://a.example/x"), "ask");
  for (const url of ["http://a.example", "javascript:alert(1)", "file:///etc/passwd", "x"])
    assert.equal(ask(url), "answered");
});

test("capabilities that Doorward does not relay are not declared upstream", () => {
  const declared = {
    elicitation: { form: {}, url: {}, other: {} },
    roots: { listChanged: true },
    experimental: { a: 1 },
    sampling: 1,
  };
  assert.deepEqual(relayedCapabilities(declared), { elicitation: { form: {}, url: {} }, roots: {} });
});
