/** `req.credentials`: opened when it is first asked for, and kept no longer than the request. */
import type { Request } from "express";
import type { CredentialsSealer } from "./credentials.js";

/**
 * Gives the request its `credentials`, and seals anew what an older `safe_password` sealed.
 *
 * @param sealer nothing for an authenticator that keeps no credentials: then there never are any
 */
export function exposeCredentials(req: Request, sealer: CredentialsSealer | undefined): void {
  sealer?.renew(req.session);
  let opened: { of: string; credentials: ExpressTokenizer.Credentials | undefined } | undefined;
  Object.defineProperty(req, "credentials", {
    configurable: true,
    get() {
      const { session } = req;
      if (!sealer || !session?.credentials) return undefined;
      const of = `${session.id} ${session.username} ${session.credentials}`;
      if (opened?.of !== of) opened = { of, credentials: sealer.open(session) };
      return opened.credentials;
    },
  });
}
