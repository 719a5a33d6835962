// One row's application, in a process of its own: `node server.mjs NAME FOLDER lean|plain [BUILD]`. Sends its port.
import { subscribe } from "node:diagnostics_channel";
import express from "express";
import { rows } from "./rows.mjs";
import { countSurvivors } from "./survivors.mjs";

const [name, folder, kind, build] = process.argv.slice(2);
const row = rows.find((candidate) => candidate.name === name);
const isPlain = kind === "plain";

/** Requests that this process made of others: the SDK speaks HTTP. */
let calls = 0;
subscribe("http.client.request.start", () => calls++);
const survivors = countSurvivors();

const app = express();
if (!isPlain) app.disable("etag").disable("x-powered-by");
app.get("/cost", (_req, res) => {
  const { user, system } = process.cpuUsage();
  res.json({ cpu: user + system, calls, survived: survivors() });
});
app.use(await row.make({ folder, build }));
app.get("/new", (req, res) => {
  if (req.session)
    Object.assign(req.session, { visits: 0, name: "ada", cart: ["bread", "butter"], text: "x".repeat(300) });
  res.send("new");
});
app.get("/unchanged", (req, res) => {
  if (req.session && req.session.name !== "ada") return res.status(500).send("no session");
  answer(req, res);
});
app.get("/changed", (req, res) => {
  if (req.session.name !== "ada") return res.status(500).send("no session");
  req.session.visits++;
  answer(req, res);
});

function answer({ session }, res) {
  if (isPlain) res.json({ name: session.name, cart: session.cart });
  else res.send("hello");
}

const server = app.listen(0, "127.0.0.1", () => process.send({ port: server.address().port }));
process.once("disconnect", () => process.exit());
