// The application that every contender is asked through: its paths, and how Express serves them.
import { once } from "node:events";
import { USER } from "./measures.mjs";

/**
 * What each path does, by the contender's own means. All get `on`, whatever its framework hands to a handler:
 * `begin(on, user)` answers the session's id, `read(on)` the user and the keys, `put(on, key, loaded)` sets a key in what
 * `load(on)` answered before the request had to wait; `list` and `endAll` only where there is a way.
 */
export function pathsOf(gates, { load = () => {}, begin, put, read, logout, list, endAll }) {
  /** As a slow handler does: what was loaded is old when it goes on. */
  async function loadAndWait(on) {
    const loaded = await load(on);
    gates.reached();
    await gates.opened;
    return loaded;
  }

  return {
    "/new": (on, { user = USER }) => begin(on, user),
    async "/put"(on, { key }) {
      await put(on, key, await loadAndWait(on));
      return "put";
    },
    async "/look"(on) {
      await loadAndWait(on);
      return "looked";
    },
    "/session": async (on) => JSON.stringify((await read(on)) ?? { keys: [] }),
    async "/logout"(on) {
      await logout(on);
      return "bye";
    },
    ...(list && { "/list": async (on) => String(await list(on)) }),
    ...(endAll && {
      async "/end-all"(on) {
        await endAll(on);
        return "ended";
      },
    }),
  };
}

export async function serveExpress(gates, actions, ...middlewares) {
  const { default: express } = await import("express");
  const app = express();
  if (middlewares.length) app.use(...middlewares);
  for (const [path, work] of Object.entries(pathsOf(gates, actions))) {
    app.get(path, async (req, res) => res.send(await work({ req, res }, req.query)));
  }
  // Said to whoever asks, not printed: some failures are measured.
  app.use((error, _req, res, _next) => {
    if (!res.headersSent) res.status(error.statusCode ?? 500).send(error.message);
  });
  return listening(app.listen(0, "127.0.0.1"));
}

export async function listening(server) {
  await once(server, "listening");
  return `http://127.0.0.1:${server.address().port}`;
}
