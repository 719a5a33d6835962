// An application on the built package that counts what outlives scavenges: `node survivors-main.mjs SETTINGS`, the section
// `tokenizer` as JSON. Prints its port.
import { once } from "node:events";
import express from "express";
import { tokenizer } from "express-tokenizer";
import { countSurvivors } from "../../bench/survivors.mjs";

const settings = JSON.parse(process.argv[2]);
const sessions = tokenizer({
  authenticator: { type: "local" },
  tokenizer: { cloud: false, safe_password: "a safe password, for these specs", ...settings },
});
await sessions.ready;

let bytes = () => 0;
const app = express();
app.get("/count", (_req, res) => {
  bytes = countSurvivors();
  res.end();
});
app.get("/counted", (_req, res) => res.send(String(bytes())));
app.use(sessions);
app.get("/new", (req, res) => {
  Object.assign(req.session, { visits: 0, name: "ada", cart: ["bread", "butter"], text: "x".repeat(300) });
  res.send("new");
});
app.get("/unchanged", (req, res) => res.send(req.session.name));
app.get("/changed", (req, res) => {
  req.session.visits++;
  res.send(req.session.name);
});
const server = app.listen(0, "127.0.0.1");
await once(server, "listening");
console.log(server.address().port);
