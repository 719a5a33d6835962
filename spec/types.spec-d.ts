/** The types that applications see. Nothing here runs: `npm run types` compiles it, and that is the check. */
import { DynamoDB, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import express, { type RequestHandler } from "express";
import {
  type EndReason,
  type Health,
  type ListedSession,
  type SettingsFault,
  TokenizerError,
  type TokenizerErrorCode,
  tokenizer,
  type UserSession,
} from "express-tokenizer";
import { createClient, createClientPool, createCluster, createSentinel } from "redis";

// What an application declares for more than a name and a password, and for its own session data. Optional only because
// it holds for all of our sources at once; spec/package.spec.ts compiles the README's, which is not.
declare global {
  namespace ExpressTokenizer {
    interface Credentials {
      readonly aTenant?: string;
    }
  }
}
declare module "express-session" {
  interface SessionData {
    aCart?: string[];
  }
}

/** Neither a wider type nor `any` is the same. */
type Same<One, Other> = (<T>() => T extends One ? 1 : 2) extends <T>() => T extends Other ? 1 : 2 ? true : false;

/** `is<T>()(value)` compiles if the value's type is T to the letter. */
function is<Type>() {
  return <Value>(_value: Value, ..._verdict: Same<Type, Value> extends true ? [] : ["another type"]): void => {};
}
// @ts-expect-error A check that takes everything would check nothing.
is<string>()("" as string | undefined);
// @ts-expect-error
is<string>()(JSON.parse("{}"));

const sessions = tokenizer();
is<Promise<void>>()(sessions.ready);
is<Promise<void>>()(sessions.close());
is<Promise<Health>>()(sessions.health());
is<RequestHandler>()(sessions.fresh(10));
// @ts-expect-error For how long, it has to be told.
sessions.fresh();
const _middleware: RequestHandler = sessions;
sessions.on("ended", ({ handle, user, reason }) => {
  is<string>()(handle);
  is<string>()(user);
  is<EndReason>()(reason);
});
// @ts-expect-error There is one event.
sessions.on("end", () => {});

const app = express();
app.use(sessions);
app.get("/", async (req) => {
  is<string | undefined>()(req.session.username);
  is<string | undefined>()(sessions.users.handle(req));
  is<string | undefined>()(req.session.credentials);
  is<string[] | undefined>()(req.session.aCart);
  // @ts-expect-error Nobody declared that one.
  req.session.aBasket;

  is<ExpressTokenizer.Credentials | undefined>()(req.credentials);
  is<string | undefined>()(req.credentials?.username);
  is<string | undefined>()(req.credentials?.password);
  is<string | undefined>()(req.credentials?.aTenant);
  // @ts-expect-error Nobody may be signed in.
  req.credentials.password;
  // @ts-expect-error They are what was sealed.
  req.credentials = undefined;
  // @ts-expect-error
  if (req.credentials) req.credentials.password = "another";

  is<boolean>()(req.sessionEnded);
  is<Date | undefined>()(req.signedInAt);
  // @ts-expect-error It is the store's word.
  req.signedInAt = new Date();
  is<Promise<void>>()(req.confirmSignIn());
  await req.confirmSignIn({ username: "ada", password: "…", aTenant: "acme" });
  await req.signIn({ username: "ada", password: "…" }, { remember: true });
  // @ts-expect-error A checkbox posts "on".
  await req.signIn({ username: "ada", password: "…" }, { remember: "on" });
  is<Promise<void>>()(req.signOut());
  is<Promise<void>>()(req.signIn({ username: "ada" }));
  await req.signIn({ username: "ada", password: "…", aTenant: "acme" }, { keep: ["aCart"], label: undefined });
  // @ts-expect-error Who signs in has a name.
  await req.signIn({ password: "…" });
  // @ts-expect-error A field that is not declared may be a misspelt one.
  await req.signIn({ username: "ada", pasword: "…" });
  // @ts-expect-error
  await req.signIn({ username: "ada" }, { keep: "aCart" });

  is<Promise<UserSession[]>>()(sessions.users.list("ada", { current: req }));
  is<Promise<number>>()(sessions.users.revoke("ada"));
  await sessions.users.revoke("ada", { except: req });
  await sessions.users.revoke("ada", { only: ["a handle", "another"] });
  is<Promise<number>>()(sessions.users.revokeEveryone());
  // @ts-expect-error `current` belongs to `list`.
  await sessions.users.revoke("ada", { current: req });
});

sessions.store.on("discard", (told) => is<{ session: string }>()(told));
// @ts-expect-error There is no such event.
sessions.store.on("discarded", () => {});
is<Promise<ListedSession[]>>()(sessions.store.all());

// @ts-expect-error A number of minutes.
tokenizer({ tokenizer: { timeout: "20" } });
// @ts-expect-error
tokenizer({ tokenizer: { type: "memroy" } });
tokenizer({ tokenizer: { type: "memory" } });
// @ts-expect-error
tokenizer({ tokenizer: { tiemout: 20 } });
// @ts-expect-error
tokenizer({ tokenizer: { cookie: { same_site: "laxest" } } });
tokenizer({ tokenizer: { safe_password: ["the new one", "the old one"], port: undefined }, theirs: { anything: 1 } });
tokenizer("settings.yml", { log: console, clock: Date });
tokenizer("settings.yml", { clock: () => 0 });
tokenizer("settings.yml", { redis: { credentials: async () => ({ username: "app", password: "…" }) } });
tokenizer("settings.yml", { redis: { credentials: () => ({ password: "…" }) } });
tokenizer("settings.yml", { redis: { client: createClient() } });
tokenizer("settings.yml", { redis: { client: createClient({ RESP: 2 }) } });
tokenizer("settings.yml", { redis: { client: createCluster({ rootNodes: [] }) } });
tokenizer("settings.yml", { redis: { client: createSentinel({ name: "mymaster", sentinelRootNodes: [] }) } });
tokenizer("settings.yml", { redis: { client: createClientPool() } });
// @ts-expect-error As those of ioredis are: it has no isOpen.
tokenizer("settings.yml", { redis: { client: { status: "ready", sendCommand: async () => "" } } });
tokenizer("settings.yml", { dynamodb: { client: new DynamoDBClient() } });
tokenizer("settings.yml", { dynamodb: { client: new DynamoDB({ region: "us-east-1" }) } });
// @ts-expect-error Options of one.
tokenizer("settings.yml", { dynamodb: { client: { region: "us-east-1" } } });
// @ts-expect-error A password that is missing.
tokenizer("settings.yml", { redis: { credentials: () => ({ username: "app" }) } });

is<typeof TokenizerError>()(TokenizerError);
export function told(error: unknown): string {
  if (!(error instanceof TokenizerError)) return "";
  is<401 | 500 | 503>()(error.status);
  is<401 | 500 | 503>()(error.statusCode);
  is<readonly SettingsFault[]>()(error.faults);
  // @ts-expect-error The codes are a closed list.
  if (error.code === "STORE_BROKEN") return "";
  return MEANINGS[error.code];
}
/** A code too few or too many does not compile, so a new one is a change of the public types. */
const MEANINGS: Record<TokenizerErrorCode, string> = {
  SETTINGS_INVALID: "",
  PACKAGE_MISSING: "",
  STORE_UNUSABLE: "",
  STORE_UNAVAILABLE: "",
  STORE_TIMEOUT: "",
  STORE_CLOSED: "",
  SESSION_UNSERIALIZABLE: "",
  SESSION_TOO_LARGE: "",
  SESSION_INVALID: "",
  SESSION_REVOKED: "",
  TOO_MANY_SESSIONS: "",
  ARGUMENT_INVALID: "",
  MOUNTED_TWICE: "",
  SIGN_IN_INVALID: "",
  SESSION_UNPROVEN: "",
  SIGN_IN_AGAIN: "",
};
