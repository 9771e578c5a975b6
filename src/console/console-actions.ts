import type { JsonObject } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import type { PersonRole } from "../config/person-role.ts";
import type { Person } from "../oauth/person.ts";
import { hasRole } from "../oauth/person.ts";
import { type Form, field } from "./read-form.ts";

/** Something that a person can do in the console: one of the actions that the command line has too. */
export interface ConsoleAction {
  /** Of the administrative action. */
  readonly name: string;
  /** Any of these may do it; the owner may do all. */
  readonly roles: readonly PersonRole[];
  /** Whether it is an owner action: at assurance level 1 it must be proven anew. */
  readonly proven: boolean;
  /** What the form says, in the action's own words; also what a passkey's answer is bound to. */
  readonly args: (form: Form) => JsonObject;
  /** Where the person is shown what became of it. */
  readonly leadsTo: (form: Form) => string;
}

/** Seconds of the windows that a yes may open here. */
const WINDOWS: Readonly<Record<string, number>> = { "10m": 600, "1h": 3_600, "8h": 28_800 };

/** What the console can do. */
export const CONSOLE_ACTIONS: readonly ConsoleAction[] = [
  {
    name: "approvals.approve",
    roles: ["approver"],
    proven: true,
    args: (form) => ({ ...approvalOf(form), ...windowOf(form), ...whyOf(form) }),
    leadsTo: (form) => `/console/approvals/${field(form, "id")}`,
  },
  {
    name: "approvals.deny",
    roles: ["approver"],
    proven: true,
    args: (form) => ({ ...approvalOf(form), ...whyOf(form) }),
    leadsTo: (form) => `/console/approvals/${field(form, "id")}`,
  },
  {
    name: "kill.set",
    roles: ["operator"],
    proven: false,
    args: (form) => ({ target: field(form, "target"), why: field(form, "why") }),
    leadsTo: () => "/console/kills",
  },
  {
    name: "kill.lift",
    roles: ["operator"],
    proven: true,
    args: (form) => ({ target: field(form, "target"), why: field(form, "why") }),
    leadsTo: () => "/console/kills",
  },
];

/** Finds what a form asks for. @throws {Problem} `invalid_request` when there is no such thing. */
export function actionOf(form: Form): ConsoleAction {
  const action = CONSOLE_ACTIONS.find(({ name }) => name === field(form, "action"));
  if (action === undefined) throw new Problem("invalid_request", { detail: "there is no such action" });
  return action;
}

export function mayDo(person: Person, name: string): boolean {
  const action = CONSOLE_ACTIONS.find((one) => one.name === name);
  return action !== undefined && hasRole(person, ...action.roles);
}

/** What a passkey's answer is bound to: the session, the action, and every word of it. No two have the same text. */
export function boundText(person: Person, action: ConsoleAction, form: Form): string {
  return `${action.name}\n${JSON.stringify([person.session, action.args(form)])}`;
}

/** The digest stands in the form so that an answer is to what was shown. */
function approvalOf(form: Form): JsonObject {
  return { id: field(form, "id"), digest: field(form, "digest") };
}

function windowOf(form: Form): JsonObject {
  const window = form.get("for") ?? "";
  if (window === "") return {};
  const seconds = Object.hasOwn(WINDOWS, window) ? WINDOWS[window] : undefined;
  if (seconds === undefined) throw new Problem("invalid_request", { detail: "the form names no known window" });
  return { for_seconds: seconds };
}

function whyOf(form: Form): JsonObject {
  const why = (form.get("why") ?? "").trim();
  return why === "" ? {} : { why };
}
