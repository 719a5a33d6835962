// better-auth on a SQLite file, in Express. What it keeps in a session are columns that are declared beforehand.
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { serveExpress } from "./app.mjs";
import { PARALLEL, TEXT } from "./measures.mjs";
import { sqlite } from "./places.mjs";

const HOUR = 3600;
const PASSWORD = "a long enough password";
const KEYS = [...Array.from({ length: PARALLEL }, (_, index) => `key${index}`), "late"];
const optional = (type) => ({ type, required: false });

export async function startBetterAuth({ gates, folder }) {
  const [{ betterAuth }, { getMigrations }, { fromNodeHeaders }] = [
    await import("better-auth"),
    await import("better-auth/db/migration"),
    await import("better-auth/node"),
  ];
  const file = join(folder, "auth.db");
  const auth = betterAuth({
    secret: "a secret that signs the cookies of every row",
    baseURL: "http://127.0.0.1",
    database: new DatabaseSync(file),
    emailAndPassword: { enabled: true, autoSignIn: false },
    logger: { disabled: true },
    session: {
      // The end does not move, which is its absolute timeout.
      expiresIn: 8 * HOUR,
      disableSessionRefresh: true,
      additionalFields: {
        text: optional("string"),
        ...Object.fromEntries(KEYS.map((key) => [key, optional("boolean")])),
      },
    },
  });
  const { runMigrations } = await getMigrations(auth.options);
  await runMigrations();

  const headersOf = ({ req }) => fromNodeHeaders(req.headers);
  /** Its answer, with its cookies handed on. */
  async function call({ res }, name, options) {
    const { headers, response } = await auth.api[name]({ ...options, returnHeaders: true });
    for (const cookie of headers.getSetCookie()) res.append("set-cookie", cookie);
    return response;
  }

  const actions = {
    async begin(on, user) {
      const email = `${user}@example.com`;
      const body = { email, password: PASSWORD, name: user };
      await auth.api.signUpEmail({ body }).catch((error) => {
        if (error.statusCode !== 422) throw error;
      });
      const { token } = await call(on, "signInEmail", { body });
      const headers = new Headers({ cookie: [on.res.getHeader("set-cookie")].flat().map(nameAndValue).join("; ") });
      await call(on, "updateSession", { body: { text: TEXT }, headers });
      return token;
    },
    load: (on) => auth.api.getSession({ headers: headersOf(on) }),
    put: (on, key) => call(on, "updateSession", { body: { [key]: true }, headers: headersOf(on) }),
    async read(on) {
      const found = await call(on, "getSession", { headers: headersOf(on) });
      return found && { user: found.user.name, keys: KEYS.filter((key) => found.session[key]) };
    },
    logout: (on) => call(on, "signOut", { headers: headersOf(on) }),
    list: async (on) => (await auth.api.listSessions({ headers: headersOf(on) })).length,
    endAll: (on) => call(on, "revokeSessions", { headers: headersOf(on) }),
  };
  return { url: await serveExpress(gates, actions), gates, place: await sqlite(file) };
}

const nameAndValue = (cookie) => cookie.split(";")[0];
