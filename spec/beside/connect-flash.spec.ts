/** Beside connect-flash: a message survives a redirect and is shown once, also among parallel requests. */
import { beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import flash from "connect-flash";
import { type App, startApp, type Visitor } from "../support/app.js";
import { Gate } from "../support/gate.js";

describe.each([4, 5] as const)("on Express %i", (release) => {
  let app: App;
  let gate: Gate;
  let visitor: Visitor;

  beforeAll(async () => {
    app = await startApp({
      express: release,
      routes(app) {
        app.use(flash());
        app.post("/notes", (req, res) => {
          req.flash("info", "The note %s is saved.", req.body.name);
          res.redirect("/notes");
        });
        app.get("/notes", (req, res) => {
          const messages = "flash" in req.session ? req.flash("info") : [];
          res.json(messages);
        });
        app.post("/welcome", (req, res, next) => {
          const { username, password } = req.body;
          req.flash("info", "Welcome, %s.", username);
          req.signIn({ username, password }, { keep: ["flash"] }).then(() => res.redirect("/notes"), next);
        });
        app.post("/goodbye", (req, res, next) => {
          const goodbye = () => {
            req.flash("info", "Goodbye, %s.", "dear");
            res.redirect("/notes");
          };
          req.signOut().then(goodbye, next);
        });

        app.get("/careless", (req, res) => {
          res.json(req.flash("info"));
        });
        app.use("/held", async (req, res) => {
          await gate.pass();
          if (req.method === "GET") return void res.json(req.flash("info"));
          if (req.body.name) req.flash("info", "The note %s is saved.", req.body.name);
          else Object.assign(req.session, req.body);
          res.sendStatus(204);
        });
      },
    });
  });

  beforeEach(() => {
    gate = new Gate();
    visitor = app.visitor();
  });

  const shown = async (who = visitor) => (await who.get("/notes")).body;

  /** Another request of the same browser, while the gate is shut. */
  const tab = () => app.visitor(visitor.cookie);

  test("a message survives the redirect of a new visitor, and is shown once", async () => {
    const answer = await visitor.post("/notes", { name: "one" });
    expect([answer.status, answer.headers.location]).toEqual([302, "/notes"]);
    expect(await shown()).toEqual(["The note one is saved."]);
    expect(await shown()).toEqual([]);
  });

  test("it survives a sign-in that keeps its key, and comes after a sign-out", async () => {
    await visitor.post("/welcome", { username: "ada", password: "a secret" });
    expect(await shown()).toEqual(["Welcome, ada."]);
    await visitor.post("/goodbye");
    expect(await shown()).toEqual(["Goodbye, dear."]);
    expect(await shown()).toEqual([]);
  });

  test("a parallel request that changes another key neither loses a message nor brings it back", async () => {
    await visitor.post("/set", { begun: true });
    const setting = tab().post("/held", { basket: ["tea"] });
    await gate.arrived();
    await visitor.post("/notes", { name: "one" });
    gate.open();
    await setting;

    gate = new Gate();
    const settingAgain = tab().post("/held", { basket: ["tea", "milk"] });
    await gate.arrived();
    expect(await shown()).toEqual(["The note one is saved."]);
    gate.open();
    await settingAgain;
    expect(await shown()).toEqual([]);
    expect((await visitor.get("/session")).body.values).toMatchObject({ basket: ["tea", "milk"] });
  });

  test("two pages that load at once both show it, and no later one does", async () => {
    await visitor.post("/notes", { name: "one" });
    const pages = [tab().get("/held"), tab().get("/held")];
    await gate.arrived(2);
    gate.open();
    const message = ["The note one is saved."];
    expect((await Promise.all(pages)).map(({ body }) => body)).toEqual([message, message]);
    expect(await shown()).toEqual([]);
  });

  test("of two messages at once one is kept: all are in one key of the session", async () => {
    await visitor.post("/set", { begun: true });
    const posts = ["one", "two"].map((name) => tab().post("/held", { name }));
    await gate.arrived(2);
    gate.open();
    await Promise.all(posts);
    expect(await shown()).toEqual([expect.stringMatching(/^The note (one|two) is saved\.$/)]);
  });

  test("asking for messages begins a session, unless it is looked whether there are any", async () => {
    expect(await shown()).toEqual([]);
    expect(visitor.cookie).toBeUndefined();
    expect((await visitor.get("/careless")).body).toEqual([]);
    expect(visitor.cookie).toBeDefined();
  });
});
