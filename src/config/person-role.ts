/** What a person may do here. Roles add up; the owner may do all. */
export const PERSON_ROLES = ["owner", "approver", "auditor", "operator"] as const;

export type PersonRole = (typeof PERSON_ROLES)[number];
