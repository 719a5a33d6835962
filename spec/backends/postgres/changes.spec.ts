/** What others do to the server in service: its disk fills, its isolation is another, its table is altered. */
import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { backendContract, contractInShort } from "../../support/contract.js";
import {
  APP,
  errorOf,
  failureOf,
  type loginAt,
  makeBackend,
  makeTable,
  record,
  startServing,
} from "../../support/postgres-backend.js";
import { makeFolder } from "../../support/postgres-program.mjs";
import { type PostgresServer, withPostgres } from "../../support/postgres-server.js";
import { expectNoStrayErrors } from "../../support/stray.js";

expectNoStrayErrors();

withPostgres("a server", () => {
  let server: PostgresServer;
  let login: ReturnType<typeof loginAt>;
  let tables = 0;

  beforeAll(async () => {
    ({ server, login } = await startServing());
  });

  describe.each(["serializable", "repeatable read"])("whose user's transactions are %s keeps the contract", (level) => {
    const username = level.replace(" ", "_");

    beforeAll(async () => {
      await server.sql(`CREATE ROLE ${username} LOGIN PASSWORD '${APP.password}' IN ROLE app`);
      await server.sql(`ALTER ROLE ${username} SET default_transaction_isolation = '${level}'`);
    });

    test.each(level === "serializable" ? backendContract : contractInShort)("$name", ({ run }) =>
      run(async ({ now }) => {
        const table = `isolated_${++tables}`;
        await makeTable(server, table);
        const make = () => makeBackend({ ...login, username, table }, { now }).backend;
        return { backend: make(), other: make() };
      }),
    );
  });

  test.each([
    ["gets a column", "ADD COLUMN note text", "DROP COLUMN note"],
    [
      "gets columns of another kind of text",
      "ALTER value TYPE varchar, ALTER version TYPE varchar",
      "ALTER value TYPE text, ALTER version TYPE text",
    ],
    ["gets a wider number", "ALTER expires TYPE numeric", "ALTER expires TYPE bigint"],
    [
      "loses its index",
      "ALTER expires SET STATISTICS 10; DROP INDEX tokenizer_records_expires",
      "ALTER expires SET STATISTICS -1",
    ],
  ])("whose table %s, and loses it again: what was prepared is right, or prepared anew", async (_name, there, back) => {
    const { backend } = makeBackend(login);
    const old = { expires: Date.now() + 60_000 };
    const use = async () => {
      const [first, second] = [record("first", old.expires), record("second", old.expires)];
      // As many as there are connections, so that each of them meets it.
      const all = Array.from({ length: 10 }, async (_, n) => {
        expect(await backend.write(`${n}`, first, "any")).toBe(true);
        expect(await backend.write(`${n}`, second, { version: first.version })).toBe(true);
        expect(await backend.touch(`${n}`, old.expires + 1, second.version)).toBe(true);
        expect(await backend.read(`${n}`)).toEqual({ ...second, expires: old.expires + 1 });
        expect(await backend.remove(`${n}`)).toBe(true);
        expect(await backend.write(`${n}`, first, "absent")).toBe(true);
      });
      await Promise.all(all);
      let count = 0;
      for await (const _ of backend.entries()) count++;
      expect(count).toBe(10);
      expect(await backend.prune()).toBe(0);
    };
    await use();
    for (const change of [there, back]) {
      await server.sql(`ALTER TABLE tokenizer_records ${change}`);
      await use();
    }
  });

  test.each([
    [
      "DROP TABLE gone",
      "STORE_UNUSABLE",
      /^PostgreSQL at \S+ refused: relation "gone" does not exist\. Make the table gone: /,
    ],
    [
      "REVOKE UPDATE ON gone FROM app",
      "STORE_UNUSABLE",
      /refused: permission denied for table gone\. Which rights are needed/,
    ],
    [
      "ALTER TABLE gone ADD CHECK (value <> 'new')",
      "STORE_UNUSABLE",
      /refused: SQLSTATE 23514\. The table gone is somebody else's, or was c/,
    ],
    ["ALTER TABLE gone ALTER value TYPE varchar(3)", "", /^It should have failed/],
    [
      "ALTER TABLE gone ALTER value TYPE varchar(2)",
      "STORE_UNUSABLE",
      /refused: SQLSTATE 22001\. The table gone is somebody else's, or was c/,
    ],
  ])("after %s in service", async (change, code, message) => {
    await server.sql("DROP TABLE IF EXISTS gone");
    await makeTable(server, "gone");
    const { backend } = makeBackend({ ...login, table: "gone" });
    await backend.open();
    expect(await backend.write("key", record("ol"), "any")).toBe(true);
    await server.sql(change);
    const error = await errorOf(backend.write("key", record("new"), "any"));
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
  });

  // A file system of its own takes a right that root alone has.
  const folder = makeFolder();
  const options = `size=4m,uid=${statSync(folder).uid}`;
  const isMounted = spawnSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", folder]).status === 0;
  const name = "whose disk is full: told by name, what was stored is kept, and service after it";

  (isMounted ? test : test.skip)(
    isMounted ? name : `${name} (left out: it takes root, to mount a small disk)`,
    async () => {
      try {
        await server.sql(`CREATE TABLESPACE small LOCATION '${folder}'`);
        await makeTable(server, "small");
        await server.sql("ALTER TABLE small ALTER value SET STORAGE EXTERNAL");
        await server.sql("ALTER TABLE small SET TABLESPACE small");
        const { backend } = makeBackend({ ...login, table: "small" });
        const kept = record("kept");
        await backend.write("kept", kept, "absent");
        const fill = async () => {
          for (let n = 0; ; n++) await backend.write(`${n}`, record("x".repeat(100_000)), "any");
        };
        expect(await failureOf(fill())).toEqual({
          code: "STORE_UNAVAILABLE",
          message: expect.stringMatching(
            /^PostgreSQL at \S+ refused: could not extend file .*: No space left on device\. Its disk is full\.$/,
          ),
        });
        expect(await backend.read("kept")).toEqual(kept);
        expect(await backend.remove("0")).toBe(true);
        spawnSync("mount", ["-o", "remount,size=16m", folder]);
        expect(await backend.write("after", record("x".repeat(100_000)), "absent")).toBe(true);
        await server.sql("DROP TABLE small");
        await server.sql("DROP TABLESPACE small");
      } finally {
        spawnSync("umount", ["-l", folder]);
      }
    },
  );
});
