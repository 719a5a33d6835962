/** Beside NestJS: the sessions are Express middleware like any other, and their errors keep their status. */
import "reflect-metadata";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { type ArgumentsHost, Catch, Controller, Get, Module, Req } from "@nestjs/common";
import { BaseExceptionFilter, NestFactory } from "@nestjs/core";
import type { NestExpressApplication } from "@nestjs/platform-express";
import type { Request, Response } from "express";
import { type Tokenizer, TokenizerError, tokenizer } from "express-tokenizer";
import { cookiesOf, SAFE_PASSWORD, temporaryFolder, Visitor } from "../support/app.js";
import { FailingBackend, refuse } from "../support/failing-backend.js";

class SessionErrors extends BaseExceptionFilter {
  override catch(error: TokenizerError, host: ArgumentsHost) {
    logger.error(error);
    const response = host.switchToHttp().getResponse<Response>();
    const message = error.status === 503 ? "Please try again." : "Something is broken here.";
    response.status(error.status).json({ statusCode: error.status, message });
  }
}
Catch(TokenizerError)(SessionErrors);

class Notes {
  set(req: Request) {
    Object.assign(req.session, { note: "kept" });
    return { note: "kept" };
  }

  get(req: Request) {
    return { note: Reflect.get(req.session, "note") };
  }

  replace(req: Request) {
    Object.assign(req, { session: { note: "lost" } });
    return {};
  }
}
// As decorators say it where they are compiled.
for (const name of ["set", "get", "replace"] as const) {
  Get(name)(Notes.prototype, name, Object.getOwnPropertyDescriptor(Notes.prototype, name) as PropertyDescriptor);
  Req()(Notes.prototype, name, 0);
}
Controller("notes")(Notes);

class AppModule {}
Module({ controllers: [Notes] })(AppModule);

const logger = { error: jest.fn() };
const backend = new FailingBackend();
afterEach(() => {
  backend.reset();
  logger.error.mockClear();
});
afterAll(() => {
  jest.restoreAllMocks();
});

describe.each(["with Nest's own filter", "with a filter of one's own"])("%s", (which) => {
  let app: NestExpressApplication;
  let sessions: Tokenizer;
  let visitor: Visitor;

  beforeAll(async () => {
    const path = join(temporaryFolder(), "tokens");
    sessions = tokenizer({ tokenizer: { type: "local", path, cloud: false, safe_password: SAFE_PASSWORD } });
    await sessions.ready;
    app = await NestFactory.create<NestExpressApplication>(AppModule, { logger: false });
    app.use(sessions);
    if (which === "with a filter of one's own") app.useGlobalFilters(new SessionErrors(app.getHttpAdapter()));
    await app.listen(0, "127.0.0.1");
    visitor = new Visitor(await app.getUrl());
  });

  afterAll(async () => {
    await app.close();
    await sessions.close();
  });

  test("what a controller puts into the session is kept", async () => {
    const answer = await visitor.get("/notes/set");
    expect([answer.status, answer.body, cookiesOf(answer).length]).toEqual([200, { note: "kept" }, 1]);
    expect((await visitor.get("/notes/get")).body).toEqual({ note: "kept" });
  });

  test("a save that fails is a 503", async () => {
    backend.on("write", refuse);
    const answer = await new Visitor(await app.getUrl()).get("/notes/set");
    const isOwn = which === "with a filter of one's own";
    const message = isOwn ? "Please try again." : "The session store failed.";
    expect([answer.status, answer.body]).toEqual([503, { statusCode: 503, message }]);
    expect(cookiesOf(answer)).toEqual([]);
    expect(logger.error.mock.calls).toEqual(isOwn ? [[expect.any(TokenizerError)]] : []);
  });

  test("a mistake of the application is a 500", async () => {
    const answer = await visitor.get("/notes/replace");
    const message = which === "with a filter of one's own" ? "Something is broken here." : expect.any(String);
    expect([answer.status, answer.body]).toEqual([500, { statusCode: 500, message }]);
  });
});
