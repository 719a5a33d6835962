// iron-session in Express: everything is in the cookie, and there is no store.
import { serveExpress } from "./app.mjs";
import { TEXT } from "./measures.mjs";

const OPTIONS = {
  password: "a password that seals the cookies of every row",
  cookieName: "session",
  ttl: 20 * 60,
  cookieOptions: { secure: false },
};

export async function startIronSession({ gates }) {
  const { getIronSession } = await import("iron-session");
  const load = ({ req, res }) => getIronSession(req, res, OPTIONS);
  const actions = {
    load,
    async begin(on, user) {
      const session = await load(on);
      Object.assign(session, { user, text: TEXT });
      await session.save();
      return "";
    },
    async put(_on, key, session) {
      session[key] = true;
      await session.save();
    },
    async read(on) {
      const session = await load(on);
      return { user: session.user, keys: Object.keys(session) };
    },
    async logout(on) {
      (await load(on)).destroy();
    },
  };
  return { url: await serveExpress(gates, actions), gates };
}
