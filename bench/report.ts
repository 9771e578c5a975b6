/** One line of the report. */
export interface Row {
  readonly work: string;
  /** The figure with its unit. */
  readonly figure: string;
  /** What it is compared with, or what it consists of. */
  readonly beside: string;
  /** What the project promises. `required`: missing it fails the run. */
  readonly limit?: { readonly text: string; readonly met: boolean; readonly required: boolean };
}

export interface Section {
  readonly title: string;
  readonly rows: readonly Row[];
}

/** The report as text for a terminal. */
export function printReport(sections: readonly Section[]): string {
  return sections
    .map(({ title, rows }) => {
      const cells = rows.map((row) => [row.work, row.figure, limitText(row), row.beside]);
      const widths = [0, 1, 2].map((column) => Math.max(...cells.map((row) => row[column]!.length)));
      const lines = cells.map(
        (row) =>
          `  ${row
            .map((cell, column) => cell.padEnd(widths[column] ?? 0))
            .join("  ")
            .trimEnd()}`,
      );
      return `${title}\n${lines.join("\n")}\n`;
    })
    .join("\n");
}

/** The report as Markdown, for people who were not there. */
export function writeReport(
  sections: readonly Section[],
  facts: {
    readonly machine: readonly string[];
    readonly command: string;
    readonly at: Date;
    readonly method: readonly string[];
  },
): string {
  const tables = sections.map(
    ({ title, rows }) =>
      `## ${title}\n\n| work | figure | limit | beside |\n|---|--:|---|---|\n` +
      rows.map((row) => `| ${row.work} | ${row.figure} | ${limitText(row)} | ${row.beside} |\n`).join(""),
  );
  return [
    "# What Doorward costs\n",
    `Written by \`${facts.command}\` on ${facts.at.toISOString().slice(0, 16).replace("T", " ")} UTC.\n`,
    facts.machine.map((line) => `- ${line}`).join("\n"),
    "",
    facts.method.join(" "),
    "",
    tables.join("\n"),
  ].join("\n");
}

/** The rows that miss a limit which fails the run. */
export function missed(sections: readonly Section[]): readonly Row[] {
  return sections.flatMap(({ rows }) => rows.filter(({ limit }) => limit?.required === true && !limit.met));
}

function limitText({ limit }: Row): string {
  if (limit === undefined) return "";
  const kind = limit.required ? "" : "aim ";
  return `${kind}${limit.text} ${limit.met ? "met" : "MISSED"}`;
}
