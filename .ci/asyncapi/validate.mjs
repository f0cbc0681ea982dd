// Holds an AsyncAPI document to the specification, by its own parser: node validate.mjs FILE
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const WARNING = 1;
const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
const serious = diagnostics.filter((found) => found.severity <= WARNING);
for (const found of serious) {
  console.error(`${found.code} at ${found.path.join(".")}: ${found.message}`);
}
if (!document || serious.length > 0) {
  process.exit(1);
}
console.log("the AsyncAPI document is valid");
