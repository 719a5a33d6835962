// CommonJS as it is written, and with nothing transformed.
const { mkdtempSync } = require("node:fs");
const { join } = require("node:path");
const { expect, test } = require("@jest/globals");
const express = require("express");
const { tokenizer } = require("express-tokenizer");
const request = require("supertest");

test("an application works with nothing transformed", async () => {
  const sessions = tokenizer({
    tokenizer: {
      type: "local",
      path: join(mkdtempSync(join(process.cwd(), "data-")), "tokens"),
      safe_password: "only for the specs in CommonJS",
      store_timeout: 30,
    },
  });
  const app = express().use(sessions);
  app.get("/", (req, res) => {
    req.session.count = (req.session.count ?? 0) + 1;
    res.send(String(req.session.count));
  });
  const visitor = request.agent(app);
  expect((await visitor.get("/")).text).toBe("1");
  expect((await visitor.get("/")).text).toBe("2");
  await sessions.close();
});
