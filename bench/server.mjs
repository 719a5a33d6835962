// One row's application, in a process of its own: `node server.mjs NAME FOLDER`. Prints its port.
import { subscribe } from "node:diagnostics_channel";
import express from "express";
import { rows } from "./rows.mjs";

const [name, folder] = process.argv.slice(2);
const row = rows.find((candidate) => candidate.name === name);

/** Requests that this process made of others: the SDK speaks HTTP. */
let calls = 0;
subscribe("http.client.request.start", () => calls++);

const app = express();
app.disable("etag").disable("x-powered-by");
app.get("/cost", (_req, res) => {
  const { user, system } = process.cpuUsage();
  res.json({ cpu: user + system, calls, memory: process.memoryUsage().rss });
});
app.use(await row.make({ folder }));
app.get("/new", (req, res) => {
  if (req.session)
    Object.assign(req.session, { visits: 0, name: "ada", cart: ["bread", "butter"], text: "x".repeat(300) });
  res.send("new");
});
app.get("/unchanged", (req, res) => {
  if (req.session && req.session.name !== "ada") return res.status(500).send("no session");
  res.send("hello");
});
app.get("/changed", (req, res) => {
  if (req.session.name !== "ada") return res.status(500).send("no session");
  req.session.visits++;
  res.send("hello");
});

const server = app.listen(0, "127.0.0.1", () => process.send({ port: server.address().port }));
process.once("disconnect", () => process.exit());
