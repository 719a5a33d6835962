// What is on the page, in the order in which somebody needs it. `as` is what people call one in their code.

export const ENTRIES = ["index.d.ts", "testing/backend-contract.d.ts"];

export const OUTLINE = [
  {
    title: "Make the middleware",
    names: [{ name: "tokenizer" }, { name: "TokenizerOptions" }, { name: "RequestCookie" }],
  },
  {
    title: "The middleware",
    text: "`tokenizer()` answers it. This page calls it `sessions`.",
    names: [{ name: "Tokenizer", as: "sessions" }, { name: "Health" }, { name: "SessionEnd" }, { name: "EndReason" }],
  },
  {
    title: "What a request gains",
    text:
      "After `app.use(sessions)` every request has these, beside express-session's own `req.session` and `req.sessionID`. The " +
      "types are global, so there is nothing to import: write `ExpressTokenizer.SignInOptions`.",
    names: [
      { name: "Express.Request", as: "req" },
      { name: "ExpressTokenizer.SignInCredentials" },
      { name: "ExpressTokenizer.SignInOptions" },
      { name: "ExpressTokenizer.Credentials" },
      { name: "express-session.SessionData", as: "req.session" },
    ],
  },
  {
    title: "A user's sessions",
    text: "[users.md](users.md) shows what they are for.",
    names: [
      { name: "Users", as: "sessions.users" },
      { name: "UserSession" },
      { name: "RevokeOptions" },
      { name: "SessionChoice" },
    ],
  },
  {
    title: "The store",
    names: [{ name: "TokenStore", as: "sessions.store" }, { name: "ListedSession" }, { name: "TokenStoreEvents" }],
  },
  {
    title: "Errors",
    text: "[errors.md](errors.md) shows what happens when the store fails.",
    names: [
      { name: "TokenizerError", as: "error" },
      { name: "TokenizerErrorCode" },
      { name: "SettingsFault" },
      { name: "TokenizerErrorOptions" },
    ],
  },
  {
    title: "The settings",
    text: "The types of a `settings.yml`. [settings.md](settings.md) explains the settings by what you want to do.",
    names: [
      { name: "SettingsInput" },
      { name: "TokenizerSettings" },
      { name: "CookieSettings" },
      { name: "RememberSettings" },
      { name: "RedisOptions" },
      { name: "PostgresOptions" },
      { name: "TlsOptions" },
      { name: "ModuleOptions" },
      { name: "AuthenticatorSettings" },
      { name: "Settings" },
      { name: "Optional" },
    ],
  },
  {
    title: "A client or a login of your own",
    text: "For [Redis](redis.md), [PostgreSQL](postgres.md) and [DynamoDB](dynamodb.md).",
    names: [
      { name: "BackendsInCode" },
      { name: "RedisInCode" },
      { name: "RedisCredentials" },
      { name: "RedisClient" },
      { name: "PostgresInCode" },
      { name: "PostgresCredentials" },
      { name: "PostgresPool" },
      { name: "DynamodbInCode" },
      { name: "DynamodbClient" },
    ],
  },
  {
    title: "Events of the log",
    names: [{ name: "TokenizerEvents" }, { name: "TokenizerEvent" }],
  },
  {
    title: "A backend of your own",
    text: "[backends.md](backends.md) shows a whole one, and how to test it.",
    names: [
      { name: "BackendFactory" },
      { name: "BackendContext" },
      { name: "Backend", as: "backend" },
      { name: "StoredRecord" },
      { name: "Entry" },
      { name: "Expected" },
      { name: "Awaitable" },
    ],
  },
  {
    title: "The backend contract",
    text: "`express-tokenizer/backend-contract` is the other entry point. It also exports the types of a backend, all but `Awaitable`.",
    names: [
      { name: "backendContract" },
      { name: "ContractCase" },
      { name: "MakeSubject" },
      { name: "ContractSubject" },
    ],
  },
];
