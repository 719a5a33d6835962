import { describe, expect, jest, test } from "@jest/globals";
import type { StoredRecord } from "../../../lib/backends/backend.js";
import { MemoryBackend } from "../../../lib/backends/memory/backend.js";
import { backendContract } from "../../../lib/testing/backend-contract.js";
import { commandLine, settingsFile } from "../../cli/command-line.js";
import { startApp } from "../../support/app.js";

describe("the contract", () => {
  test.each(backendContract.map(({ name, run }) => [name, run] as const))("%s", async (_name, run) => {
    await run((context) => {
      const records = new Map<string, StoredRecord>();
      return { backend: new MemoryBackend(context, records), other: new MemoryBackend(context, records) };
    });
  });
});

const END = 1000;

function filled(count: number) {
  const clock = { time: 0 };
  const backend = new MemoryBackend({ now: () => clock.time });
  for (let index = 0; index < count; index += 1) {
    void backend.write(`session:${index}`, { value: "value", version: `${index}`, expires: END }, "absent");
  }
  return { backend, clock };
}

describe("the loop", () => {
  const MANY = 10_000;

  /** How often something else has its turn meanwhile. */
  async function turnsDuring(work: Promise<unknown>): Promise<number> {
    let turns = 0;
    let isOver = false;
    const count = () => {
      turns += 1;
      if (!isOver) setImmediate(count);
    };
    setImmediate(count);
    await work;
    isOver = true;
    return turns;
  }

  test(`has its turns while ${MANY} records are pruned`, async () => {
    const { backend, clock } = filled(MANY);
    clock.time = END;
    const pruned = backend.prune();
    expect(await turnsDuring(pruned)).toBeGreaterThanOrEqual(MANY / 1000);
    expect(await pruned).toBe(MANY);
  });

  test(`has its turns while ${MANY} records are listed`, async () => {
    const { backend } = filled(MANY);
    const listed = (async () => {
      let count = 0;
      for await (const _ of backend.entries()) count += 1;
      return count;
    })();
    expect(await turnsDuring(listed)).toBeGreaterThanOrEqual(MANY / 1000);
    expect(await listed).toBe(MANY);
  });

  test("both end, with a fault, when it is closed meanwhile", async () => {
    const { backend, clock } = filled(MANY);
    clock.time = END;
    const pruned = backend.prune();
    await backend.close();
    await expect(pruned).rejects.toMatchObject({ code: "STORE_CLOSED" });
  });

  test("waits for nothing: everything but lists is answered at once", () => {
    const { backend } = filled(1);
    expect(backend.read("session:0")).toMatchObject({ value: "value" });
    expect(backend.write("session:0", { value: "", version: "next", expires: END }, { version: "0" })).toBe(true);
    expect(backend.touch("session:0", END + 1, "next")).toBe(true);
    expect(backend.remove("session:0")).toBe(true);
  });

  test("prune goes on under fake timers", async () => {
    jest.useFakeTimers();
    try {
      const { backend, clock } = filled(MANY);
      clock.time = END;
      expect(await backend.prune()).toBe(MANY);
    } finally {
      jest.useRealTimers();
    }
  });
});

test("what was read stays as it was, whatever becomes of the record", async () => {
  const { backend } = filled(1);
  const read = await backend.read("session:0");
  await backend.touch("session:0", END + 1, "0");
  expect(read).toEqual({ value: "value", version: "0", expires: END });
});

describe("an application", () => {
  // `startApp` names a safe_password; here there is none.
  const settings = { type: "memory", safe_password: undefined } as const;

  test("signs in, keeps credentials and lists sessions without any other setting", async () => {
    const { visitor, sessions, log } = await startApp({ settings });
    const ada = visitor();
    await ada.signIn("ada", "a secret of ada's");
    expect((await ada.get("/inbox")).text).toBe("the mail of ada");
    expect(await sessions.users.list("ada")).toHaveLength(1);
    expect(log).toEqual([]);
  });

  test("has sessions that no other one has", async () => {
    const [one, other] = [await startApp({ settings }), await startApp({ settings })];
    const ada = one.visitor();
    await ada.signIn();
    expect(await other.sessions.store.length()).toBe(0);
    expect((await other.visitor(ada.cookie).get("/inbox")).status).toBe(401);
  });

  test("seals whole sessions, too", async () => {
    const { visitor } = await startApp({ settings: { ...settings, encrypt: "session" } });
    const ada = visitor();
    await ada.post("/set", { cart: ["bread"] });
    expect((await ada.get("/session")).body.values).toEqual({ cart: ["bread"] });
  });
});

describe("the command line", () => {
  const file = () => settingsFile({ type: "memory", safe_password: undefined });

  test.each([["sessions"], ["revoke", "--user", "ada"], ["revoke", "--all", "--json"], ["prune"]])(
    "%s %s says that no command sees those sessions",
    async (command, ...options) => {
      expect(await commandLine([command, "--settings", file(), ...options])).toEqual({
        code: 1,
        stdout: "",
        stderr:
          "tokenizer.type: found memory: those sessions are in the application's own process, where no command sees them. " +
          "To end all of them, restart it; from inside, sessions.users lists and ends them.",
      });
    },
  );

  test("check tries it, and says what it is for", async () => {
    const { code, stdout, stderr } = await commandLine(["check", "--settings", file()]);
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: expect.stringMatching(
        /^\nTo mend before users come:\n- tokenizer\.type is memory: each process has sessions of its own/,
      ),
    });
    expect(stdout).toContain("the memory of the application's process");
    expect(stdout).toContain("not set: each process makes keys of its own");
    expect(stdout).toContain("It works, with 1 warning.");
  });

  test("check refuses it where production would", async () => {
    const { code, stderr } = await commandLine(["check", "--settings", file()], { NODE_ENV: "production" });
    expect(code).toBe(1);
    expect(stderr).toContain("refused when NODE_ENV is production");
  });
});
