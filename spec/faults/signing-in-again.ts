import { expect } from "@jest/globals";
import { shortName, storageKey } from "../../lib/session-id.js";
import { type App, cookiesOf, type Visitor } from "../support/app.js";

export const PASSWORD = "ada's own secret";

export async function signedIn(app: App, username = "ada", password = PASSWORD): Promise<Visitor> {
  const visitor = app.visitor();
  expect((await visitor.signIn(username, password)).status).toBe(204);
  return visitor;
}

/**
 * There are no credentials, so the application asks to sign in again, and that works. One line is logged, with the
 * hashed id and with no secret.
 *
 * @param told what the line says, with `NAME` for the session's
 */
export async function expectSigningInAgain(app: App, visitor: Visitor, told: string): Promise<void> {
  const { id, cookie } = visitor;
  const [logged, errors] = [app.log.length, app.errors.length];
  const answer = await visitor.get("/inbox");
  expect([answer.status, answer.text, cookiesOf(answer)]).toEqual([401, "Please sign in.", []]);
  const lines = app.log.slice(logged);
  expect(lines).toEqual([`express-tokenizer: ${told.replace("NAME", shortName(storageKey(id)))}`]);
  for (const secret of [id, cookie ?? "", PASSWORD]) expect(lines[0]).not.toContain(secret);
  expect(app.errors.length).toBe(errors);

  expect((await visitor.signIn("ada", PASSWORD)).status).toBe(204);
  expect(visitor.id).not.toBe(id);
  expect((await visitor.get("/inbox")).text).toBe("the mail of ada");
}
