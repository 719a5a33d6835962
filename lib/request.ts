/** What Express's request and express-session's data gain, so that applications have nothing to declare. */
import "express-session";

declare global {
  /** Open for declaration merging: an application that keeps more than a name and a password says so here. */
  namespace ExpressTokenizer {
    /** `req.credentials`. Shows no more than the user name when it is printed, inspected or serialised. */
    interface Credentials {
      /** As it was signed in. */
      readonly username: string;
      /** In clear, for whatever the application asks as the user. */
      readonly password: string;
    }

    /** What `req.signIn` takes. Authenticators other than the local one keep none of it but the user name. */
    interface SignInCredentials extends Partial<Credentials> {
      /** A text that is not empty. It matches exactly, case and all. */
      readonly username: string;
    }

    interface SignInOptions {
      /** The keys of the old session that the new one takes over. Default: none. */
      readonly keep?: readonly string[] | undefined;
      /** What `sessions.users.list` calls the session: a device, say. Default: none. */
      readonly label?: string | undefined;
      /**
       * Whether the session outlives the browser, by the settings' section `remember`, which must be there. Default: false.
       * A checkbox posts a text: `remember: req.body.remember === "on"`.
       */
      readonly remember?: boolean | undefined;
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
       * When the session was signed in, or the sign-in was confirmed last. `undefined` when nobody is signed in, and
       * while `req.session.username` was set and is not saved.
       */
      readonly signedInAt?: Date | undefined;

      /**
       * Starts a new session, under a new id, for a user whom the application has authenticated. Resolves
       * when it is written and the old one is removed. A `cookie.maxAge` that this request set counts for the new one.
       *
       * @throws TokenizerError `SIGN_IN_INVALID`, or status 503 when the store failed: then nothing has changed
       */
      signIn(credentials: ExpressTokenizer.SignInCredentials, options?: ExpressTokenizer.SignInOptions): Promise<void>;

      /**
       * Lets the session go on under a new id, once the application has asked for the password again: `req.signedInAt` is
       * now. All else stays: what is in it, its label, its place in the user's list, its absolute end.
       *
       * @param credentials the signed-in user's, to be sealed in place of those that are. Default: those stay.
       * @throws TokenizerError `SIGN_IN_AGAIN` (401) when nobody is signed in, or the session ended meanwhile;
       *   `SIGN_IN_INVALID` when somebody else is; or status 503 when the store failed: then nothing has changed
       */
      confirmSignIn(credentials?: ExpressTokenizer.SignInCredentials): Promise<void>;

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
