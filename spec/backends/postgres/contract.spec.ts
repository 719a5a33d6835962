import { describe, test } from "@jest/globals";
import { PostgresBackend } from "../../../lib/backends/postgres/backend.js";
import { backendContract, type MakeSubject } from "../../../lib/testing/backend-contract.js";
import { withPostgres } from "../../support/postgres-server.js";
import { shared } from "../../support/shared.js";

const onTheirServer: MakeSubject = async (context) => {
  const login = await shared("postgres");
  return { backend: new PostgresBackend(login, context), other: new PostgresBackend(login, context) };
};

withPostgres("the contract, on PostgreSQL", () => {
  describe("with pools of our own", () => {
    test.each(backendContract)("$name", ({ run }) => run(onTheirServer));
  });
});
