/** What Express's request and express-session's data gain, so that applications have nothing to declare. */
import "express-session";

declare global {
  /** Open for declaration merging: an application that keeps more than a name and a password says so here. */
  namespace ExpressTokenizer {
    /** `req.credentials`. Shows no more than the user name when it is printed, inspected or serialised. */
    interface Credentials {
      readonly username: string;
      readonly password: string;
    }

    /** What `req.signIn` takes. Authenticators other than the local one keep none of it but the user name. */
    interface SignInCredentials extends Partial<Credentials> {
      readonly username: string;
    }

    interface SignInOptions {
      /** The keys of the old session that the new one takes over. Default: none. */
      readonly keep?: readonly string[] | undefined;
      /** What `sessions.users.list` calls the session: a device, say. Default: none. */
      readonly label?: string | undefined;
    }
  }

  namespace Express {
    interface Request {
      /**
       * The signed-in user's credentials, opened for this request. `undefined` when nobody is signed in,
       * with an authenticator that keeps none, and when they do not open: then ask to sign in again.
       */
      readonly credentials?: ExpressTokenizer.Credentials | undefined;

      /** The request brought a rightly signed cookie, but its session is over: expired, ended or revoked. */
      sessionEnded: boolean;

      /**
       * Starts a new session, under a new id, for a user whom the application has authenticated. Resolves
       * when it is written and the old one is removed.
       *
       * @throws TokenizerError `SIGN_IN_INVALID`, or status 503 when the store failed: then nothing has changed
       */
      signIn(credentials: ExpressTokenizer.SignInCredentials, options?: ExpressTokenizer.SignInOptions): Promise<void>;

      /**
       * Ends the session: removed from the store, its cookie taken back. `req.session` is a new, empty one.
       *
       * @throws TokenizerError status 503 when the store failed: then nothing has changed
       */
      signOut(): Promise<void>;
    }
  }
}

declare module "express-session" {
  interface SessionData {
    /** Who is signed in. Matches exactly, case and all. */
    username?: string;
    /** The sealed credentials; `req.credentials` has them opened. */
    credentials?: string;
  }
}
