import { beforeAll, describe, expect, jest, test } from "@jest/globals";
import fc from "fast-check";
import { type App, Clock, startApp } from "../support/app.js";
import { everyBackend, onEveryBackend, sealedOnEveryBackend } from "../support/places.js";
import { isFull } from "../support/redis-server.js";
import { countBackendCalls } from "../support/stored.js";

const RUNS = isFull ? 500 : 40;

/** What `JSON.parse` can answer, lone surrogates and names such as `__proto__` included. */
const value = fc.json({ stringUnit: "binary", maxDepth: 4 }).map((text): unknown => JSON.parse(text));
/** What express-session has on every session: a session cannot have a key of that name. */
const TAKEN = ["touch", "resetMaxAge", "save", "reload", "destroy", "regenerate", "id", "req", "__proto__"];
/** `cookie` is express-session's own; `credentials` and `username` mean something to us. */
const RESERVED = new Set([...TAKEN, "cookie", "credentials", "username"]);
const name = fc
  .oneof(
    { weight: 4, arbitrary: fc.string({ unit: "binary", maxLength: 12 }) },
    { weight: 1, arbitrary: fc.constantFrom(...Object.getOwnPropertyNames(Object.prototype)) },
  )
  .filter((key) => !RESERVED.has(key));
const contents = fc.array(fc.tuple(name, value), { minLength: 1, maxLength: 8 });

/** What JSON cannot, under a name; and what is told of it. */
const impossible: ReadonlyArray<[string, () => unknown]> = [
  ["a BigInt", () => 1n],
  [
    "a circle",
    () =>
      Object.assign(
        { self: {} },
        {
          get self() {
            return this;
          },
        },
      ),
  ],
  [
    "a toJSON that throws",
    () => ({
      toJSON: () => {
        throw new Error("a secret of ada's");
      },
    }),
  ],
  [
    "a getter that throws",
    () =>
      Object.defineProperty({}, "x", {
        enumerable: true,
        get() {
          throw new Error("a secret of ada's");
        },
      }),
  ],
];

onEveryBackend(
  (places) => {
    let app: App;
    /** What the next request puts into its session. */
    let put: ReadonlyArray<readonly [string, unknown]> = [];

    beforeAll(async () => {
      app = await startApp({
        settings: await places.next(),
        clock: Object.assign(new Clock(), { time: Date.now() }),
        routes(application) {
          application.post("/put", (req, res) => {
            for (const [key, item] of put)
              Object.defineProperty(req.session, key, {
                value: item,
                enumerable: true,
                configurable: true,
                writable: true,
              });
            res.sendStatus(204);
          });
          application.post("/assign", (req, res) => {
            Object.assign(req.session, JSON.parse(String(req.query.json)));
            res.sendStatus(204);
          });
          application.get("/text", (req, res) => {
            const { cookie: _, ...fields } = req.session;
            res.type("text").send(JSON.stringify(fields));
          });
        },
      });
    });

    test(`what JSON can hold comes back as it was: ${RUNS} sessions`, async () => {
      await fc.assert(
        fc.asyncProperty(contents, async (entries) => {
          const visitor = app.visitor();
          put = entries;
          expect((await visitor.post("/put")).status).toBe(204);
          const { text } = await visitor.get("/text");
          const sent = Object.create(null) as Record<string, unknown>;
          for (const [key, item] of entries) sent[key] = item;
          expect(text).toBe(JSON.stringify(sent));
        }),
        { numRuns: RUNS },
      );
    });

    test("names that every object has are kept, in their order, and cost no write when nothing changes", async () => {
      const visitor = app.visitor();
      put = ["toString", "a", "constructor", "hasOwnProperty", "valueOf", "b"].map((key) => [key, { of: key }]);
      await visitor.post("/put");
      const backend = countBackendCalls(places.prototype);
      const { text } = await visitor.get("/text");
      expect(text).toBe(JSON.stringify(Object.fromEntries(put)));
      expect(backend.calls.write).toBe(0);
      put = [["c", 1]];
      await visitor.post("/put");
      expect((await visitor.get("/text")).text).toBe(text.replace(/}$/, ',"c":1}'));
      jest.restoreAllMocks();
    });

    describe("a name that express-session has on every session is refused", () => {
      test.each(TAKEN.filter((key) => key !== "req" && key !== "id"))("%s", async (key) => {
        const visitor = app.visitor();
        await visitor.post("/set", { before: 1 });
        put = [
          ["fine", 1],
          [key, { mine: true }],
        ];
        const { status, body, headers } = await visitor.post("/put");
        expect([status, body.code, headers["set-cookie"]]).toEqual([500, "SESSION_INVALID", undefined]);
        expect(body.message).toBe(
          `req.session.${key} cannot be kept: express-session has something of its own under that name. Take another one.`,
        );
        expect((await visitor.get("/session")).body.values).toEqual({ before: 1 });
      });

      test.each(TAKEN)("%s, of an object that is given to the store", async (key) => {
        const fields = JSON.parse(`{"${key}":{"mine":true},"cookie":{"originalMaxAge":null}}`);
        const saved = new Promise((resolve) => app.sessions.store.set("an-id-that-nobody-has", fields, resolve));
        expect(await saved).toMatchObject({
          code: "SESSION_INVALID",
          message: expect.stringContaining(`.${key} cannot`),
        });
      });

      test("__proto__, assigned, which takes the session's methods away", async () => {
        const visitor = app.visitor();
        await visitor.post("/set", { before: 1 });
        const { status, body } = await visitor.post('/assign?json={"__proto__":{"mine":true}}');
        expect([status, body.code]).toEqual([500, "SESSION_INVALID"]);
        expect(body.message).toMatch(/^req\.session\.__proto__ cannot be kept/);
        expect((await visitor.get("/session")).body.values).toEqual({ before: 1 });
      });
    });

    describe("what it cannot", () => {
      test.each(impossible)("%s is refused, naming the key; what was stored is kept", async (_what, make) => {
        const visitor = app.visitor();
        await visitor.post("/set", { before: 1 });
        put = [
          ["fine", 1],
          ["culprit", make()],
        ];
        const { status, body, headers } = await visitor.post("/put");
        expect([status, body.code, headers["set-cookie"]]).toEqual([500, "SESSION_UNSERIALIZABLE", undefined]);
        expect(body.message).toMatch(/^req\.session\.culprit cannot be saved/);
        expect(body.message).not.toContain("secret");
        expect((await visitor.get("/session")).body.values).toEqual({ before: 1 });
      });

      test("a name that would draw on the terminal, or fill the log, is escaped and cut", async () => {
        put = [[`\n\u001b[31m\u009b1m\u202e${"x".repeat(100_000)}`, 1n]];
        expect((await app.visitor().post("/put")).body.message).toBe(
          `req.session."\\n\\u001b[31m\\u009b1m\\u202e${"x".repeat(50)}…" cannot be saved: it holds what JSON cannot ` +
            "(a BigInt, a circle, more than 200 levels).",
        );
      });
    });
  },
  [...everyBackend, ...sealedOnEveryBackend],
);
