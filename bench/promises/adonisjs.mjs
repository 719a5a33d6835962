// AdonisJS with its session package on Redis, the store of its own that can list a user's sessions.
import { createServer } from "node:http";
import { listening, pathsOf } from "./app.mjs";
import { TEXT } from "./measures.mjs";
import { redis } from "./places.mjs";

export async function startAdonis({ gates }) {
  const [{ IgnitorFactory }, { defineConfig, stores, SessionCollection }, { defineConfig: redisConfig }] = [
    await import("@adonisjs/core/factories"),
    await import("@adonisjs/session"),
    await import("@adonisjs/redis"),
  ];
  const connections = { main: { host: "127.0.0.1", port: process.env.REDIS_PORT } };
  const ignitor = new IgnitorFactory()
    .withCoreProviders()
    .withCoreConfig()
    .merge({
      rcFileContents: {
        providers: [() => import("@adonisjs/redis/redis_provider"), () => import("@adonisjs/session/session_provider")],
      },
      config: {
        redis: redisConfig({ connection: "main", connections }),
        session: defineConfig({
          age: "20 minutes",
          cookie: { secure: false },
          store: "redis",
          stores: { redis: stores.redis({ connection: "main" }) },
        }),
      },
    })
    .create(new URL("./", import.meta.url));
  const app = ignitor.createApp("web");
  await app.init();
  await app.boot();
  const [server, router, collection] = [
    await app.container.make("server"),
    await app.container.make("router"),
    await app.container.make(SessionCollection),
  ];
  server.use([() => import("@adonisjs/session/session_middleware")]);
  // Without one, failures are answered by its default, which prints them.
  server.errorHandler(async () => ({ default: SilentErrors }));
  const actions = {
    async begin({ session }, user) {
      session.put("user", user);
      session.put("text", TEXT);
      await session.tag(user);
      return session.sessionId;
    },
    put: ({ session }, key) => session.put(key, true),
    read: ({ session }) => ({ user: session.get("user"), keys: Object.keys(session.all()) }),
    logout: ({ session }) => session.clear(),
    list: async ({ session }) => (await collection.tagged(session.get("user"))).length,
    async endAll({ session }) {
      const found = await collection.tagged(session.get("user"));
      await Promise.all(found.map(({ id }) => collection.destroy(id)));
    },
  };
  for (const [path, work] of Object.entries(pathsOf(gates, actions))) {
    router.get(path, (on) => work(on, on.request.qs()));
  }
  await server.boot();
  const url = await listening(createServer(server.handle.bind(server)).listen(0, "127.0.0.1"));
  return { url, gates, place: await redis(process.env.REDIS_PORT) };
}

class SilentErrors {
  handle(error, { response }) {
    response.status(error.status ?? 500).send("");
  }
  report() {}
}
