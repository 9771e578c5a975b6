/** Runs the sample registrar that the README calls: `node test/docs/registrar.ts PORT KEY`. */
import { startSampleRegistrar } from "../../src/cli/sample-registrar.ts";

const [port = "7421", key = "rk_demo_2f61c0aa41d94b7e"] = process.argv.slice(2);
const { url } = await startSampleRegistrar({ key, port: Number(port) });
process.stdout.write(`the sample registrar answers at ${url}\n`);
