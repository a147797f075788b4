// The official Node SDK over the whole surface: chat, completions, embeddings, models. Prints what it saw as one line of
// JSON; its reader judges. Usage: node surface.mjs, with OPENAI_BASE_URL, CHAT_MODEL and EMBED_MODEL set.
import OpenAI from "openai";

const client = new OpenAI({ apiKey: "any", maxRetries: 0 });
const model = process.env.CHAT_MODEL;
const ask = (content) => ({ model, messages: [{ role: "user", content }], temperature: 0, seed: 1 });

const FRANCE = { ...ask("Which city is the capital of France?"), max_tokens: 24 };
const TOOL = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather in a city",
    parameters: {
      type: "object",
      properties: { city: { type: "string", maxLength: 30 } },
      required: ["city"],
      additionalProperties: false,
    },
  },
};
const SCHEMA = {
  type: "object",
  properties: { name: { type: "string", maxLength: 20 }, age: { type: "integer", minimum: 0, maximum: 120 } },
  required: ["name", "age"],
  additionalProperties: false,
};
const FORCED = { ...ask("What is the weather in Paris?"), tools: [TOOL], tool_choice: "required", max_tokens: 60 };
const SHAPED = {
  ...ask("Invent a person named Ada, aged 36."),
  response_format: { type: "json_schema", json_schema: { name: "person", strict: true, schema: SCHEMA } },
  max_tokens: 60,
};
const THREE = { ...ask("Name a colour."), temperature: 1, n: 3, max_tokens: 6 };
const LIKELY = { ...ask("Name a colour."), logprobs: true, top_logprobs: 2, max_tokens: 4 };

// The same request whole, gathered by the SDK's helper, and as plain chunks.
async function bothWays(body) {
  const whole = await client.chat.completions.create(body);
  const gathered = await client.chat.completions.stream(body).finalChatCompletion();
  let chunks = 0;
  for await (const _ of await client.chat.completions.create({ ...body, stream: true })) chunks += 1;
  return { whole, gathered, chunks };
}

async function refused(promise) {
  try {
    await promise;
  } catch (error) {
    return { kind: error.constructor.name, status: error.status, code: error.code, param: error.param };
  }
  return { kind: "none" };
}

async function completions() {
  const body = { model, prompt: "The capital of France is", temperature: 0, max_tokens: 8 };
  const whole = await client.completions.create({ ...body, logprobs: 1 });
  let text = "";
  for await (const chunk of await client.completions.create({ ...body, stream: true })) text += chunk.choices[0].text;
  return { whole, text };
}

async function embeddings() {
  const input = ["a cat", "a kitten"];
  const byDefault = await client.embeddings.create({ model: process.env.EMBED_MODEL, input });
  const floats = await client.embeddings.create({ model: process.env.EMBED_MODEL, input, encoding_format: "float" });
  return { byDefault, floats };
}

async function models() {
  const ids = [];
  for await (const each of client.models.list()) ids.push(each.id);
  return { ids, one: await client.models.retrieve(model) };
}

const seen = {
  text: await bothWays(FRANCE),
  tools: await bothWays(FORCED),
  schema: await bothWays(SHAPED),
  three: await bothWays(THREE),
  logprobs: await bothWays(LIKELY),
  parsed: await client.chat.completions.parse(SHAPED),
  completions: await completions(),
  embeddings: await embeddings(),
  models: await models(),
  errors: {
    field: await refused(client.chat.completions.create({ ...FRANCE, temperature: 3 })),
    model: await refused(client.chat.completions.create({ ...FRANCE, model: "nobody", stream: true })),
  },
};
console.log(JSON.stringify(seen));
