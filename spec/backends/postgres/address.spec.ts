import { userInfo } from "node:os";
import { describe, expect, test } from "@jest/globals";
import { addressOf, nameOf, type PlaceSettings } from "../../../lib/backends/postgres/address.js";

const me = userInfo().username;
const PG = { PGHOST: "db", PGPORT: "5433", PGUSER: "ada", PGDATABASE: "shop" };

describe("where PostgreSQL is, and who asks", () => {
  test.each<[string, PlaceSettings, NodeJS.ProcessEnv, object]>([
    ["nobody says", {}, {}, { host: "localhost", port: 5432, username: me, database: me }],
    ["the environment says", {}, PG, { host: "db", port: 5433, username: "ada", database: "shop" }],
    [
      "the settings say, which win",
      { host: "h", port: 1, username: "bob", database: "x" },
      PG,
      { host: "h", port: 1, username: "bob", database: "x" },
    ],
    ["both say some", { host: "h", database: "x" }, { PGPORT: " 5433 " }, { host: "h", port: 5433, database: "x" }],
    ["the database is called as the user", { username: "bob" }, {}, { username: "bob", database: "bob" }],
    ["as the environment's user, too", {}, { PGUSER: "ada" }, { username: "ada", database: "ada" }],
    ["an empty variable counts as not set", {}, { PGHOST: "", PGPORT: "", PGUSER: "", PGDATABASE: "" }, { port: 5432 }],
    ["a socket's folder", {}, { PGHOST: "/var/run/postgresql" }, { host: "/var/run/postgresql", port: 5432 }],
  ])("%s", (_, settings, env, expected) => {
    expect(addressOf(settings, env)).toMatchObject(expected);
  });

  test.each([
    ["abc", "PGPORT is no port, which is a number from 1 to 65535."],
    ["0", "PGPORT is no port, which is a number from 1 to 65535."],
    ["65536", "PGPORT is no port, which is a number from 1 to 65535."],
    ["0x10", "PGPORT is no port, which is a number from 1 to 65535."],
  ])("PGPORT=%s is refused", (PGPORT, message) => {
    expect(() => addressOf({}, { PGPORT })).toThrow(expect.objectContaining({ code: "STORE_UNUSABLE", message }));
    expect(addressOf({ port: 1 }, { PGPORT }).port).toBe(1);
  });

  test("several hosts of PGHOST are refused", () => {
    const message = "PGHOST names several servers: name the one that always leads to the primary.";
    expect(() => addressOf({}, { PGHOST: "a,b" })).toThrow(
      expect.objectContaining({ code: "STORE_UNUSABLE", message }),
    );
  });
});

test.each([
  [{ host: "h", port: 5432 }, "h:5432"],
  [{ host: "::1", port: 5433 }, "[::1]:5433"],
  [{ host: "/var/run/postgresql", port: 5432 }, "/var/run/postgresql/.s.PGSQL.5432"],
  [{ host: "/var/run/postgresql/", port: 5432 }, "/var/run/postgresql/.s.PGSQL.5432"],
])("%j is called %s", (address, name) => {
  expect(nameOf(address)).toBe(name);
});
