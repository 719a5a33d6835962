// Ours, and the stores that take the place of express-session's.
import { join } from "node:path";
import { dynamodbClient, rows } from "../rows.mjs";
import { serveExpress } from "./app.mjs";
import { TEXT } from "./measures.mjs";
import * as places from "./places.mjs";

/** express-session as its documentation has it. */
const plain = {
  begin({ req }, user) {
    Object.assign(req.session, { user, text: TEXT });
    return req.sessionID;
  },
  put({ req }, key) {
    req.session[key] = true;
  },
  read: ({ req: { session } }) => ({ user: session.user, keys: Object.keys(session) }),
  logout: ({ req }) =>
    new Promise((resolve, reject) => req.session.destroy((error) => (error ? reject(error) : resolve()))),
};

const ours = (sessions) => ({
  ...plain,
  async begin({ req }, username) {
    await req.signIn({ username, password: TEXT });
    req.session.text = TEXT;
    return req.sessionID;
  },
  read: ({ req: { session } }) => ({ user: session.username, keys: Object.keys(session) }),
  logout: ({ req }) => req.signOut(),
  list: async ({ req }) => (await sessions.users.list(req.session.username)).length,
  endAll: ({ req }) => sessions.users.revoke(req.session.username),
});

/** Where the row of rows.mjs keeps its sessions; made before it, since that asks the environment where DynamoDB is. */
async function placeOf(row, folder, storeOf) {
  if (row.engine === "redis") return places.redis(process.env.REDIS_PORT);
  if (row.engine === "postgres") return places.postgres(row);
  if (row.engine === "dynamodb") {
    const place = await places.dynamodb(process.env.DYNAMODB, await dynamodbClient());
    process.env.DYNAMODB = place.url;
    return place;
  }
  if (row.name === "session-file-store") return places.folder(folder);
  return row.isOurs ? undefined : places.memory(storeOf);
}

export async function startRow(name, { gates, folder }) {
  const row = rows.find((one) => one.name === name);
  let store;
  const place = await placeOf(row, folder, () => store);
  const middleware = await row.make({ folder, isStrict: true });
  const seeStore = (req, _res, next) => {
    store = req.sessionStore;
    next();
  };
  const url = await serveExpress(gates, row.isOurs ? ours(middleware) : plain, middleware, seeStore);
  return { url, gates, place: place ?? (await places.sqlite(join(folder, "sessions.db"))) };
}
