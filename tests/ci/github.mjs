// Evaluates expressions and checks workflows with the libraries that GitHub publishes. Reads one
// request as a line of JSON, writes one response as a line, until the input ends.
import { register } from "node:module";
import { createInterface } from "node:readline";
import { data, Evaluator, Lexer, Parser } from "@actions/expressions";

// The parser imports JSON as a bundler does, without the attribute that Node.js requires.
const load = `export const load = (url, context, next) =>
  next(url, url.endsWith(".json") ? { ...context, importAttributes: { type: "json" } } : context);`;
register(`data:text/javascript,${encodeURIComponent(load)}`);
const { convertWorkflowTemplate, NoOperationTraceWriter, parseWorkflow } = await import("@actions/workflow-parser");
const { convertActionTemplate, parseAction } = await import("@actions/workflow-parser/actions/index");

function evaluate({ expression, contexts, states }) {
  // The functions that depend on the state of the run, such as failure(), with their results.
  const functions = new Map(
    Object.entries(states).map(([name, state]) => [
      name,
      { name, minArgs: 0, maxArgs: 0, call: () => new data.BooleanData(state) },
    ]),
  );
  const { tokens } = new Lexer(expression).lex();
  const tree = new Parser(tokens, Object.keys(contexts), [...functions.values()]).parse();
  const known = JSON.parse(JSON.stringify(contexts), data.reviver);
  const value = new Evaluator(tree, known, functions).evaluate();
  return JSON.parse(JSON.stringify(value, data.replacer));
}

async function problems({ path, files }) {
  const file = (name) => ({ name, content: files[name] });
  const is_action = path.endsWith("action.yml");
  const { context, value } = (is_action ? parseAction : parseWorkflow)(file(path), new NoOperationTraceWriter());
  if (is_action) {
    convertActionTemplate(context, value);
  } else {
    const called = { getFileContent: async (reference) => file(reference.path) };
    await convertWorkflowTemplate(context, value, called, { fetchReusableWorkflowDepth: 1 });
  }
  return context.errors.getErrors().map((error) => error.message);
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  let response;
  try {
    response = { value: await ("expression" in request ? evaluate(request) : problems(request)) };
  } catch (error) {
    response = { error: error.message };
  }
  process.stdout.write(`${JSON.stringify(response)}\n`);
}
