/** What the package tells whoever listens: diagnostics_channel, DEBUG, and the measurements made of them in docs/operation.md. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { afterEach, describe, expect, jest, test } from "@jest/globals";
import { metrics } from "@opentelemetry/api";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import createDebug from "debug";
import express from "express";
import request from "supertest";
import { LocalBackend } from "../lib/backends/local/backend.js";
import { TokenizerError } from "../lib/errors.js";
import type { TokenizerEvents } from "../lib/events.js";
import { tokenizer } from "../lib/tokenizer.js";
import { type App, MINUTE, SAFE_PASSWORD, startApp, temporaryFolder } from "./support/app.js";

const EVENTS = [
  "load",
  "save",
  "conflict",
  "merge",
  "discard",
  "touch",
  "sign-in",
  "sign-out",
  "bind",
  "unproven",
  "revoke",
  "refuse",
] as const satisfies ReadonlyArray<keyof TokenizerEvents>;

const SESSION = expect.stringMatching(/^[\w-]{12}$/);
const TIME = expect.any(Number);

type Told = Array<[event: string, message: unknown]>;
const listeners: Array<() => void> = [];

afterEach(() => {
  for (const stop of listeners.splice(0)) stop();
  jest.restoreAllMocks();
});

/** All events from now on. */
function listen(): Told {
  const told: Told = [];
  for (const event of EVENTS) {
    const name = `tokenizer:${event}`;
    const listener = (message: unknown) => told.push([event, message]);
    subscribe(name, listener);
    listeners.push(() => unsubscribe(name, listener));
  }
  return told;
}

const namesOf = (told: Told) => told.map(([event]) => event);

describe("the channels", () => {
  test("a sign-in, a request, a change, a touch and a sign-out", async () => {
    const app = await startApp();
    const told = listen();
    const ada = app.visitor();
    await ada.signIn("ada");
    expect(told.splice(0)).toEqual([
      ["sign-in", { session: SESSION, user: "ada", handle: expect.any(String), label: undefined }],
      ["save", { session: SESSION, milliseconds: TIME }],
    ]);
    await ada.get("/session");
    expect(told.splice(0)).toEqual([["load", { session: SESSION, found: true, milliseconds: TIME }]]);
    await ada.post("/set", { basket: [1] });
    expect(namesOf(told.splice(0))).toEqual(["load", "save"]);
    app.clock.forward(5 * MINUTE);
    await ada.get("/session");
    await app.sessions.store.length();
    expect(told.splice(0)).toEqual([
      ["load", { session: SESSION, found: true, milliseconds: TIME }],
      ["touch", { session: SESSION }],
    ]);
    const { cookie } = ada;
    await ada.post("/sign-out");
    expect(told.splice(0)).toEqual([
      ["load", { session: SESSION, found: true, milliseconds: TIME }],
      ["sign-out", { session: SESSION, user: "ada" }],
    ]);
    await app.visitor(cookie).get("/session");
    expect(told.splice(0)).toEqual([["load", { session: SESSION, found: false, milliseconds: TIME }]]);
  });

  test("two writers that meet, and one that outlives its session", async () => {
    const app = await startApp();
    const ada = app.visitor();
    await ada.signIn("ada");
    const { store } = app.sessions;
    const load = () =>
      new Promise<object>((resolve, reject) =>
        store.get(ada.id, (error, session) => (session ? resolve(session) : reject(error))),
      );
    const save = (session: object) =>
      new Promise<void>((resolve, reject) =>
        store.set(ada.id, session as never, (error) => (error ? reject(error) : resolve())),
      );
    const [one, other, late] = [await load(), await load(), await load()];
    const told = listen();
    await save(Object.assign(one, { a: 1 }));
    await save(Object.assign(other, { b: 2 }));
    expect(told.splice(0)).toEqual([
      ["save", { session: SESSION, milliseconds: TIME }],
      ["conflict", { session: SESSION }],
      ["merge", { session: SESSION }],
      ["save", { session: SESSION, milliseconds: TIME }],
    ]);
    expect(await app.sessions.users.revoke("ada")).toBe(1);
    await save(Object.assign(late, { c: 3 }));
    expect(told.splice(0)).toEqual([
      ["revoke", { user: "ada", count: 1 }],
      ["discard", { session: SESSION }],
    ]);
    await app.sessions.users.revokeEveryone();
    expect(told).toEqual([["revoke", { user: undefined, count: 0 }]]);
  });

  test.each(["read", "write"] as const)("a store that fails to %s: refused, with the code", async (method) => {
    const app = await startApp();
    const ada = app.visitor();
    await ada.signIn("ada");
    const told = listen();
    const failure = new TokenizerError("STORE_UNAVAILABLE", "It fails.");
    jest.spyOn(LocalBackend.prototype, method).mockRejectedValue(failure);
    expect((await ada.post("/set", { basket: [1] })).status).toBe(503);
    expect(told.at(-1)).toEqual(["refuse", { code: "STORE_UNAVAILABLE" }]);
    expect(namesOf(told)).not.toContain("save");
  });

  test("no password, no session id, and nothing that a session contains", async () => {
    const app = await startApp();
    const told = listen();
    const ada = await signInAndOut(app);
    const text = JSON.stringify(told);
    expect(namesOf(told)).toEqual(expect.arrayContaining(["load", "save", "sign-in", "sign-out"]));
    for (const secret of [ada, "a secret of ada's", "a secret in the basket"]) expect(text).not.toContain(secret);
  });
});

/** Answers the id of the session. */
async function signInAndOut(app: App): Promise<string> {
  const ada = app.visitor();
  await ada.signIn("ada", "a secret of ada's");
  const { id } = ada;
  await ada.post("/set", { basket: "a secret in the basket" });
  await ada.post("/sign-out");
  return id;
}

test("DEBUG: the same by their names, and nothing where it is off", async () => {
  const app = await startApp();
  const lines: string[] = [];
  const { log } = createDebug;
  createDebug.log = (...args: unknown[]) => lines.push(args.join(" "));
  try {
    await signInAndOut(app);
    expect(lines).toEqual([]);
    createDebug.enable("tokenizer:sign-*");
    const id = await signInAndOut(app);
    expect(lines).toEqual([
      expect.stringContaining("tokenizer:sign-in"),
      expect.stringContaining("tokenizer:sign-out"),
    ]);
    expect(lines.join()).not.toContain(id);
  } finally {
    createDebug.disable();
    createDebug.log = log;
  }
});

describe("docs/operation.md", () => {
  test("measurements by OpenTelemetry", async () => {
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 2 ** 30 });
    const provider = new MeterProvider({ readers: [reader] });
    metrics.setGlobalMeterProvider(provider);

    const meter = metrics.getMeter("express-tokenizer");
    const loads = meter.createHistogram("session.load.duration", { unit: "ms" });
    const refusals = meter.createCounter("session.refusals");

    subscribe("tokenizer:load", (message) => {
      const { found, milliseconds } = message as TokenizerEvents["load"];
      loads.record(milliseconds, { found });
    });
    subscribe("tokenizer:refuse", (message) => {
      const { code } = message as TokenizerEvents["refuse"];
      refusals.add(1, { code });
    });

    const app = await startApp();
    const ada = app.visitor();
    await ada.signIn("ada");
    await ada.get("/session");
    await app.sessions.close();
    await ada.get("/session");
    await provider.forceFlush();
    const measured = exporter
      .getMetrics()
      .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics));
    expect(
      measured.map(({ descriptor, dataPoints }) => [descriptor.name, dataPoints.map((point) => point.attributes)]),
    ).toEqual([
      ["session.load.duration", [{ found: true }]],
      ["session.refusals", [{ code: "STORE_CLOSED" }]],
    ]);
    await provider.shutdown();
  });

  test("readiness: 200 while the store answers, 503 when it does not", async () => {
    const settings = { tokenizer: { type: "local", path: temporaryFolder(), safe_password: SAFE_PASSWORD } } as const;
    const sessions = tokenizer(settings, { log: { warn: () => {} } });
    const app = express();

    app.get("/ready", async (_req, res) => {
      const health = await sessions.health();
      if (!health.ok) console.error(health.error?.message);
      res.status(health.ok ? 200 : 503).json(health);
    });
    app.use(sessions);

    expect((await request(app).get("/ready")).body).toEqual({ ok: true, milliseconds: TIME });
    await sessions.close();
    const logged = jest.spyOn(console, "error").mockImplementation(() => {});
    expect((await request(app).get("/ready")).status).toBe(503);
    expect(logged.mock.calls).toEqual([["The session store was closed."]]);
  });
});
