/** `req.credentials`: opened when it is first asked for, and kept no longer than the request. */
import type { Request } from "express";
import type { CredentialsSealer } from "./credentials.js";

/** What was opened last, and from what. */
interface Opened {
  readonly id: string;
  readonly username: unknown;
  readonly sealed: unknown;
  readonly credentials: ExpressTokenizer.Credentials | undefined;
}

/**
 * Gives the request its `credentials`, and seals anew what an older `safe_password` sealed.
 *
 * @param sealer nothing for an authenticator that keeps no credentials: then there never are any
 */
export function exposeCredentials(req: Request, sealer: CredentialsSealer | undefined): void {
  sealer?.renew(req.session);
  let opened: Opened | undefined;
  Object.defineProperty(req, "credentials", {
    configurable: true,
    get() {
      const { session } = req;
      if (!sealer || !session?.credentials) return undefined;
      const { id, username, credentials } = session;
      // One by one: what a stranger wrote into the store may be something that does not turn into text.
      const isSame = opened?.id === id && opened.username === username && opened.sealed === credentials;
      if (!opened || !isSame) opened = { id, username, sealed: credentials, credentials: sealer.open(session) };
      return opened.credentials;
    },
  });
}
