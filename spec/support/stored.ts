/** What lies in an application's folder, seen and changed by somebody who can write to it. */
import { jest } from "@jest/globals";
import { LocalBackend } from "../../lib/backends/local.js";
import { storageKey } from "../../lib/session-id.js";
import type { App } from "./app.js";

/** A session's record as it is stored: its head, and its own fields. */
export interface StoredParts {
  readonly head: Record<string, unknown>;
  readonly fields: Record<string, unknown>;
}

/** The stored record of a session that is not sealed whole. */
export async function readStored(app: App, sessionId: string): Promise<StoredParts | undefined> {
  const record = await withFolder(app, (backend) => backend.read(storageKey(sessionId)));
  return record && partsOf(record.value);
}

/** Changes a session's record behind the application's back. Its expiry stays. */
export async function changeStored(
  app: App,
  sessionId: string,
  change: (parts: StoredParts) => StoredParts,
): Promise<void> {
  const key = storageKey(sessionId);
  await withFolder(app, async (backend) => {
    const record = await backend.read(key);
    if (!record) throw new Error("there is no such session to change");
    const { head, fields } = change(partsOf(record.value));
    const value = `${JSON.stringify(head)}\n${JSON.stringify(fields)}`;
    await backend.write(key, { ...record, value, version: crypto.randomUUID() }, "any");
  });
}

/** Counts the calls that reach local backends, all together, until the mocks are restored. */
export function countBackendCalls() {
  const { prototype } = LocalBackend;
  const read = jest.spyOn(prototype, "read");
  const write = jest.spyOn(prototype, "write");
  const touch = jest.spyOn(prototype, "touch");
  const remove = jest.spyOn(prototype, "remove");
  const count = (spy: { mock: { calls: unknown[] } }) => spy.mock.calls.length;
  return {
    get calls() {
      return { read: count(read), write: count(write), touch: count(touch), remove: count(remove) };
    },
    clear: () => jest.clearAllMocks(),
  };
}

function partsOf(value: string): StoredParts {
  const [head = "", body = ""] = value.split("\n");
  return { head: JSON.parse(head), fields: JSON.parse(body) };
}

async function withFolder<T>(app: App, work: (backend: LocalBackend) => Promise<T>): Promise<T> {
  const { path, clock } = app;
  const backend = new LocalBackend({ path }, { now: clock.now, timeout: 2000, warn: () => {} });
  try {
    return await work(backend);
  } finally {
    await backend.close();
  }
}
