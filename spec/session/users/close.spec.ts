/** `close` finishes what is under way of a user's sessions, and of requests. */
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import type { Request } from "express";
import type { Backend } from "../../../lib/backends/backend.js";
import { destroy } from "../../support/by-promise.js";
import { onEveryBackend } from "../../support/places.js";
import { type Opened, Servers } from "./opened.js";

/** More than are ended at once. */
const MANY = 60;

onEveryBackend(({ prototype, next }) => {
  let servers: Servers;

  beforeEach(async () => {
    servers = new Servers(await next(), prototype);
  });

  afterEach(async () => {
    jest.restoreAllMocks();
    await servers.close();
  });

  /** Resolves when one of the backend's calls is under way; each takes some turns of the loop more. */
  function underWay(): Promise<void> {
    return new Promise((resolve) => {
      for (const method of ["read", "write", "remove"] as const) {
        const { [method]: real } = prototype;
        jest.spyOn(prototype, method).mockImplementation(async function (this: Backend, ...args: never[]) {
          resolve();
          for (let turn = 0; turn < 5; turn++) await new Promise((done) => setImmediate(done));
          return Reflect.apply(real, this, args);
        } as never);
      }
    });
  }

  const works: Record<string, (server: Opened, req: Request) => Promise<unknown>> = {
    "a sign-in": (server) => server.signIn("ann"),
    "a sign-out": ({ store }, { sessionID }) => destroy(store, sessionID),
    "a list": ({ users }) => users.list("ann"),
    "a revoke": ({ users }) => users.revoke("ann"),
    "a revokeEveryone": ({ users }) => users.revokeEveryone(),
    "a request that is due": (server, req) => server.load(req),
  };

  test.each(Object.keys(works))("%s", async (name) => {
    const server = await servers.open();
    const requests = [];
    for (let count = 0; count < MANY; count++) requests.push(await server.signIn("ann"));
    servers.forward(2);
    const begun = underWay();
    const work = works[name]?.(server, requests[0] as Request);
    await begun;
    await server.sessions.close();
    await expect(work).resolves.not.toThrow();
    expect(server.warnings).toEqual([]);
    jest.restoreAllMocks();
    if (name.startsWith("a revoke")) expect(await (await servers.open()).store.length()).toBe(0);
  });
});
