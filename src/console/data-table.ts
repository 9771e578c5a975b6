import { type Hole, html, type Markup } from "./html.ts";

/** A table whose cells know the name of their column: on a narrow screen they stand below each other. */
export function dataTable(columns: readonly string[], rows: readonly (readonly Hole[])[]): Markup {
  const cell = (value: Hole, at: number) => html`<td data-column="${columns[at]}">${value}</td>`;
  return html`<table><thead><tr>${columns.map((column) => html`<th scope="col">${column}</th>`)}</tr></thead>
<tbody>${rows.map((row) => html`<tr>${row.map(cell)}</tr>`)}</tbody></table>`;
}
