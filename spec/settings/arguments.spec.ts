import { createServer } from "node:http";
import { pathToFileURL } from "node:url";
import { expect, test } from "@jest/globals";
import express from "express";
import request from "supertest";
import { tokenizer } from "../../lib/tokenizer.js";

const call = tokenizer as unknown as (...given: unknown[]) => unknown;
const CALL_IT = "tokenizer() got a request; call it in your code: app.use(tokenizer()).";

test("tokenizer itself is mounted, without a call: each request says what to do", async () => {
  const errors: unknown[] = [];
  const app = express();
  app.use(tokenizer as unknown as express.RequestHandler);
  app.use(((error, _req, res, _next) => {
    errors.push(error);
    res.sendStatus(error.status);
  }) as express.ErrorRequestHandler);
  expect((await request(app).get("/")).status).toBe(500);
  expect(errors).toEqual([expect.objectContaining({ code: "SETTINGS_INVALID", message: CALL_IT })]);
});

test("and as a server's listener", async () => {
  const server = createServer((req, res) => {
    try {
      call(req, res);
    } catch (error) {
      res.end((error as Error).message);
    }
  });
  expect((await request(server).get("/")).text).toBe(CALL_IT);
});

test.each<[string, unknown[], string]>([
  ["null", [null], "tokenizer() takes the name of a settings file, or an object of settings; it got null"],
  [
    "an empty text",
    [""],
    "tokenizer() takes the name of a settings file, or an object of settings; it got an empty text",
  ],
  ["a number", [5], "it got a number"],
  ["a list", [[]], "it got a list"],
  ["an application", [express()], "it got a function"],
  ["a promise", [Promise.resolve({})], "it got a promise: await it"],
  ["a URL", [pathToFileURL("/settings.yml")], "it got a URL: give fileURLToPath(url)"],
  ["null for options", [undefined, null], "takes an object as its second argument"],
])("what is neither a file nor settings: %s", (_, given, message) => {
  expect(() => call(...given)).toThrow(expect.objectContaining({ code: "SETTINGS_INVALID" }));
  expect(() => call(...given)).toThrow(message);
});

test.each<[object, string]>([
  [
    { type: "memory" },
    "type, given to tokenizer(), is no option, but a setting: put it into the first argument, tokenizer({ tokenizer: { type: … } }).",
  ],
  [
    { tokenizer: { type: "memory" } },
    "tokenizer, given to tokenizer(), is no option, but a setting: put it into the first argument, tokenizer({ tokenizer: { … } }).",
  ],
  [{ pool: {} }, "pool, given to tokenizer(), is no option; give { postgres: { pool } }."],
  [{ store: {} }, "store, given to tokenizer(), is no option; use tokenizer.type."],
  [{ resave: true }, "resave, given to tokenizer(), is no option; it is not needed: only changes are saved."],
  [{ log: () => {} }, "log, given to tokenizer(), must be an object with a method warn(message), as console is."],
  [{ log: "console" }, "log, given to tokenizer(), must be an object with a method warn(message), as console is."],
  [
    { clock: 5 },
    "clock, given to tokenizer(), must be a function that answers milliseconds since 1970, or an object with a method now().",
  ],
  [{ clok: Date }, "clok, given to tokenizer(), is no option; did you mean clock?"],
])("settings and others' options in the second argument: %j", (options, message) => {
  expect(() => call(undefined, options)).toThrow(expect.objectContaining({ code: "SETTINGS_INVALID" }));
  expect(() => call(undefined, options)).toThrow(message);
});
