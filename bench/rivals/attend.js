// Loaded before a server that is measured: it collects garbage for each line on its standard input, answers with one, and ends with it.
import { createInterface } from "node:readline";

createInterface({ input: process.stdin })
  .on("line", () => {
    if (globalThis.Bun) Bun.gc(true);
    else gc();
    console.log("{}");
  })
  .on("close", () => process.exit());
