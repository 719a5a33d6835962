/** “Copy this cookie”: what a thief would have, as a command, to see that it opens nothing. */

import { parse } from "cookie";
import { Router } from "express";
import { copiedCookiePage } from "./sessions-view.js";
import { show } from "./show.js";
import { credentialsOf, requireUser } from "./signing-in.js";

export const copiedCookie = Router();

copiedCookie.post("/sessions/copy", requireUser, (req, res) => {
  const cookies = parse(req.headers.cookie ?? "");
  const names = Object.keys(cookies);
  const name = names.find((one) => names.some((other) => other.startsWith(`${one}-bound-`)));
  const cookie = name && `${name}=${encodeURIComponent(cookies[name] ?? "")}`;
  const command = cookie && `curl --insecure --cookie '${cookie}' https://${req.get("Host")}/notes`;
  show(res, 200, copiedCookiePage({ username: credentialsOf(req).username, command }));
});
