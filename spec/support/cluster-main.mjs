// An application of node:cluster on the built package, one port and one folder: `node cluster-main.mjs FOLDER`.
// Prints its port, and the port of each worker alone.
import cluster from "node:cluster";
import { once } from "node:events";
import express from "express";
import { tokenizer } from "express-tokenizer";

const WORKERS = 2;

if (cluster.isPrimary) {
  const workers = Array.from({ length: WORKERS }, () => cluster.fork());
  const ports = await Promise.all(workers.map(async (worker) => (await once(worker, "message"))[0]));
  const [{ shared }] = ports;
  console.log(JSON.stringify({ shared, own: ports.map(({ own }) => own) }));
  letGoTogether(workers);
} else {
  process.setMaxListeners(100); // each request that waits is one

  const sessions = tokenizer({
    // Processes start slowly where many do at once.
    tokenizer: { type: "local", path: process.argv[2], safe_password: "for these specs alone", store_timeout: 60 },
  });
  await sessions.ready;

  const app = express();
  app.use(sessions);
  app.get("/sign-in", async (req, res) => {
    await req.signIn({ username: "ada", password: "a secret of ada's" });
    res.end();
  });
  app.get("/sign-out", async (req, res) => {
    await req.signOut();
    res.end();
  });
  /** Waits, over all workers, for as many requests as it says; tells that its session is loaded. */
  app.get("/set/:key/with/:count", async (req, res) => {
    res.writeProcessing();
    process.send({ waitingFor: Number(req.params.count) });
    await once(process, "message");
    req.session[req.params.key] = true;
    res.send(String(process.pid));
  });
  app.get("/session", (req, res) => {
    const { cookie, credentials, ...values } = req.session;
    res.json({ values, ended: req.sessionEnded, password: req.credentials?.password });
  });

  const [shared, own] = [app.listen(0, "127.0.0.1"), app.listen({ port: 0, host: "127.0.0.1", exclusive: true })];
  await Promise.all([once(shared, "listening"), once(own, "listening")]);
  process.send({ shared: shared.address().port, own: own.address().port });
}

/** A request waits until all that it waits for have come, whichever worker they came to. */
function letGoTogether(workers) {
  let waiting = 0;
  for (const worker of workers) {
    worker.on("message", ({ waitingFor }) => {
      if (++waiting < waitingFor) return;
      waiting = 0;
      for (const each of workers) each.send("go");
    });
  }
}
