/** What the upstream answers to everything: 1 KB of JSON, as an API's small answer is. */
export const SAMPLE_ANSWER = sampleAnswer(1_024);

/** The path that is called, below the service's base path. */
export const SAMPLE_PATH = "/domains/example.com";

function sampleAnswer(bytes: number): string {
  const record = (id: number) => ({ id, type: "A", name: `host-${id}`, value: "192.0.2.10" });
  const answer = {
    domain: "example.com",
    total: 15,
    records: Array.from({ length: 15 }, (_, id) => record(id)),
    note: "",
  };
  answer.note = "n".repeat(bytes - JSON.stringify(answer).length);
  return JSON.stringify(answer);
}
