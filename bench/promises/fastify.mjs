// @fastify/session in Fastify, over connect-redis: its documentation names express-session's stores as compatible.
import { listening, pathsOf } from "./app.mjs";
import { TEXT } from "./measures.mjs";
import { redis } from "./places.mjs";

const MINUTE = 60_000;

export async function startFastify({ gates }) {
  const [{ default: Fastify }, { default: cookie }, { default: session }] = [
    await import("fastify"),
    await import("@fastify/cookie"),
    await import("@fastify/session"),
  ];
  const [{ RedisStore }, { createClient }] = [await import("connect-redis"), await import("redis")];
  const client = await createClient({ url: `redis://127.0.0.1:${process.env.REDIS_PORT}` }).connect();
  const app = Fastify();
  app.register(cookie);
  app.register(session, {
    secret: "a secret that signs the cookies of every row",
    store: new RedisStore({ client }),
    cookie: { secure: false, maxAge: 20 * MINUTE },
    saveUninitialized: false,
  });
  const actions = {
    begin({ session }, user) {
      Object.assign(session, { user, text: TEXT });
      return session.sessionId;
    },
    put({ session }, key) {
      session[key] = true;
    },
    read: ({ session }) => ({ user: session.user, keys: Object.keys(session) }),
    logout: ({ session }) => session.destroy(),
  };
  for (const [path, work] of Object.entries(pathsOf(gates, actions))) {
    app.get(path, (request) => work(request, request.query));
  }
  await app.ready();
  const url = await listening(app.server.listen(0, "127.0.0.1"));
  return { url, gates, place: await redis(process.env.REDIS_PORT) };
}
