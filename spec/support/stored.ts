/** What lies in an application's store, seen and changed by somebody who can write to it. */
import { jest } from "@jest/globals";
import type { Backend } from "../../lib/backends/backend.js";
import { LocalBackend } from "../../lib/backends/local/backend.js";
import { makeBackend } from "../../lib/backends/open.js";
import { storageKey } from "../../lib/session-id.js";
import { loadSettings } from "../../lib/settings/load.js";
import type { App } from "./app.js";

/** A session's record as it is stored: its head, and its own fields. */
export interface StoredParts {
  readonly head: Record<string, unknown>;
  readonly fields: Record<string, unknown>;
}

/** The stored record of a session that is not sealed whole. */
export async function readStored(app: App, sessionId: string): Promise<StoredParts | undefined> {
  const record = await withStore(app, (backend) => backend.read(storageKey(sessionId)));
  return record && partsOf(record.value);
}

/** Changes a session's record behind the application's back. Its expiry stays. */
export async function changeStored(
  app: App,
  sessionId: string,
  change: (parts: StoredParts) => StoredParts,
): Promise<void> {
  await changeText(app, sessionId, (text) => {
    const { head, fields } = change(partsOf(text));
    return `${JSON.stringify(head)}\n${JSON.stringify(fields)}`;
  });
}

/** Changes a session's record as a text, which need not be one of ours. Its expiry stays. */
export async function changeText(app: App, sessionId: string, change: (text: string) => string): Promise<void> {
  const key = storageKey(sessionId);
  await withStore(app, async (backend) => {
    const record = await backend.read(key);
    if (!record) throw new Error("there is no such session to change");
    await backend.write(key, { ...record, value: change(record.value), version: crypto.randomUUID() }, "any");
  });
}

/** Every record that is live, of sessions and users, as keys and texts. */
export async function everythingStored(app: App): Promise<string[]> {
  return withStore(app, async (backend) => {
    const texts: string[] = [];
    for await (const { key, value } of backend.entries()) texts.push(key, value);
    return texts;
  });
}

/** Counts the calls that reach backends of one kind, all together, until the mocks are restored. */
export function countBackendCalls(prototype: Backend = LocalBackend.prototype) {
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

async function withStore<T>({ settings, clock }: App, work: (backend: Backend) => T | Promise<T>): Promise<T> {
  const warn = () => {};
  const backend = makeBackend(loadSettings(settings, { log: { warn } }), { now: clock.now, timeout: 60_000, warn });
  try {
    return await work(backend);
  } finally {
    await backend.close();
  }
}
