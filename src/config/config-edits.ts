import { type Document, isMap, isSeq, type Node } from "yaml";

/** The file's own shape of an entry: wire names, as it is to be written. */
export type FileEntry = { readonly [key: string]: unknown };

/** Adds or replaces an entry of a section, as `service add` and `agent add` do. */
export function setEntry(
  document: Document,
  place: { readonly section: "services" | "roles" | "agents"; readonly name: string },
  entry: FileEntry,
): void {
  openSection(document, place.section);
  const node = document.createNode(entry) as Node;
  compact(node, 0);
  document.setIn([place.section, place.name], node);
}

export function addService(document: Document, name: string, entry: FileEntry): void {
  setEntry(document, { section: "services", name }, entry);
}

/** Gives a service that is there these operations, in place of what it has. */
export function setOperations(document: Document, name: string, operations: FileEntry): void {
  const node = document.createNode(operations) as Node;
  compact(node, 0);
  document.setIn(["services", name, "operations"], node);
}

export function addRole(document: Document, name: string, entry: FileEntry): void {
  setEntry(document, { section: "roles", name }, entry);
}

export function addAgent(document: Document, name: string, entry: FileEntry): void {
  setEntry(document, { section: "agents", name }, entry);
}

/** Removes a service. @returns Whether there was one. */
export function removeService(document: Document, name: string): boolean {
  return document.deleteIn(["services", name]);
}

/** Whether a section has an entry of that name. */
export function hasEntry(document: Document, section: "services" | "roles" | "agents", name: string): boolean {
  return document.hasIn([section, name]);
}

/** Gives an agent exactly these roles; the agent is added when it is not there. */
export function setAgentRoles(document: Document, name: string, roles: readonly string[]): void {
  if (!isMap(document.getIn(["agents", name], true))) {
    addAgent(document, name, { roles });
    return;
  }
  const list = document.createNode([...roles]);
  list.flow = true;
  document.setIn(["agents", name, "roles"], list);
}

/** `services:` with nothing under it, or none at all, becomes a map. */
function openSection(document: Document, section: string): void {
  if (!isMap(document.getIn([section], true))) document.setIn([section], document.createNode({}));
  const map = document.getIn([section], true);
  // `services: {}` is written in flow style; what goes into it is not.
  if (isMap(map) && map.items.length === 0) map.flow = false;
}

/** Writes lists and small inner maps on one line, as people do. */
function compact(node: unknown, depth: number): void {
  if (isSeq(node)) node.flow = true;
  else if (isMap(node)) {
    for (const { value } of node.items) compact(value, depth + 1);
    if (depth > 0 && node.items.every(({ value }) => !isMap(value)) && node.items.length <= 3) node.flow = true;
  }
}
