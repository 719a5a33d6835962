import express, { type ErrorRequestHandler, type Express } from "express";
import { type SettingsInput, type Tokenizer, TokenizerError, tokenizer } from "express-tokenizer";

declare module "express-session" {
  interface SessionData {
    count?: number;
  }
}

export type Section = NonNullable<SettingsInput["tokenizer"]>;

/** An application as those that jest tests: it counts in the session, signs in, and tells the package's errors apart. */
export function makeApp(section: Section): { app: Express; sessions: Tokenizer } {
  // Machines that run specs are busy: loading a package alone may take seconds.
  const common = { safe_password: "only for the specs in CommonJS", store_timeout: 30 };
  const sessions = tokenizer({ tokenizer: { ...common, ...section } });
  const app = express();
  app.use(sessions);
  app.get("/count", (req, res) => {
    req.session.count = (req.session.count ?? 0) + 1;
    res.send(String(req.session.count));
  });
  app.post("/sign-in", (req, res, next) => {
    req.signIn({ username: "ada", password: "secret" }).then(() => res.sendStatus(204), next);
  });
  app.get("/me", (req, res) => {
    res.json([req.session.username, req.credentials?.password]);
  });
  const answerError: ErrorRequestHandler = (error, _req, res, _next) => {
    res.status(error.status ?? 500).json({ isOurs: error instanceof TokenizerError, code: error.code });
  };
  app.use(answerError);
  return { app, sessions };
}
