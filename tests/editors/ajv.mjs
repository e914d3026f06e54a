// Validates documents with a schema, in ajv's strict mode. Reads {schema, documents} from standard
// input, writes a list of results, true for valid.
import Ajv from "ajv";

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const { schema, documents } = JSON.parse(Buffer.concat(chunks).toString("utf8"));

const ajv = new Ajv({
  strict: true,
  strictTypes: true,
  allowUnionTypes: true,
  strictTuples: true,
  strictRequired: true,
  allErrors: true,
});
// What editors read and validators ignore.
for (const word of [
  "doNotSuggest",
  "enumDescriptions",
  "markdownDescription",
  "markdownEnumDescriptions",
  "patternErrorMessage",
  "defaultSnippets",
]) {
  ajv.addKeyword(word);
}
const validate = ajv.compile(schema);
process.stdout.write(JSON.stringify(documents.map((document) => validate(document))));
