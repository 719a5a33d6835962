/** Beside express-rate-limit: before the sessions by address, behind them by user. */
import { beforeAll, expect, jest, test } from "@jest/globals";
import { ipKeyGenerator, rateLimit } from "express-rate-limit";
import { type App, cookiesOf, startApp } from "../support/app.js";

let app: App;

beforeAll(async () => {
  app = await startApp({
    before(app) {
      const byAddress = rateLimit({ windowMs: 60_000, limit: 2 });
      app.use("/busy", byAddress); // before sessions: what is refused does not ask the store
    },
    routes(app) {
      const byUser = rateLimit({
        windowMs: 60_000,
        limit: 2,
        keyGenerator: (req) => req.session.username ?? ipKeyGenerator(req.ip ?? ""),
      });
      app.use("/search", byUser); // behind sessions

      const failuresOnly = rateLimit({ windowMs: 60_000, limit: 2, skipSuccessfulRequests: true });
      app.post("/note", failuresOnly, (req, res) => {
        Object.assign(req.session, req.body.isBad ? { note: 1n } : { note: "a text" });
        res.sendStatus(204);
      });
      app.use(["/busy", "/search"], (_req, res) => {
        res.send("served");
      });
    },
  });
});

const times = async (count: number, ask: () => Promise<{ status: number }>) => {
  const statuses: number[] = [];
  for (let n = 0; n < count; n++) statuses.push((await ask()).status);
  return statuses;
};

test("before the sessions: who is refused costs the store nothing", async () => {
  const visitor = app.visitor();
  await visitor.signIn();
  const load = jest.spyOn(app.sessions.store, "get");
  expect(await times(4, () => visitor.get("/busy"))).toEqual([200, 200, 429, 429]);
  expect(load).toHaveBeenCalledTimes(2);
});

test("behind them: by user, over all of his sessions, and nobody else's", async () => {
  const [phone, laptop, bob] = [app.visitor(), app.visitor(), app.visitor()];
  await Promise.all([phone.signIn("ada"), laptop.signIn("ada"), bob.signIn("bob")]);
  expect((await phone.get("/search")).status).toBe(200);
  expect((await laptop.get("/search")).status).toBe(200);
  const refused = await phone.get("/search");
  expect([refused.status, cookiesOf(refused)]).toEqual([429, []]);
  expect((await bob.get("/search")).status).toBe(200);
  expect(await times(3, () => app.visitor().get("/search"))).toEqual([200, 200, 429]);
});

test("an answer whose save was refused counts as the failure that the visitor sees", async () => {
  const visitor = app.visitor();
  expect(await times(4, () => visitor.post("/note"))).toEqual([204, 204, 204, 204]);
  expect(await times(3, () => visitor.post("/note", { isBad: true }))).toEqual([500, 500, 429]);
});
