/** What Express's request and express-session's data gain, so that applications have nothing to declare. */
import "express-session";

declare global {
  /** Open for declaration merging: an application that keeps more than a name and a password says so here. */
  namespace ExpressTokenizer {
    /**
     * What `req.credentials` holds, read-only. When you print, inspect or serialise it, it shows the user name alone. To
     * keep more than a name and a password, declare that once in your application; `req.signIn` then takes it, too.
     *
     * @example
     * declare global {
     *   namespace ExpressTokenizer {
     *     interface Credentials {
     *       readonly domain?: string;
     *     }
     *   }
     * }
     */
    interface Credentials {
      /** The user's name, as `req.signIn` got it. */
      readonly username: string;
      /** The password in clear, for the database or service that you call as the user. */
      readonly password: string;
    }

    /**
     * What `req.signIn` and `req.confirmSignIn` take: the user name, the password and whatever you added to `Credentials`.
     * With `authenticator.type: local` the password is required, and everything is sealed into the session. With any other
     * authenticator only the user name is kept.
     */
    interface SignInCredentials extends Partial<Credentials> {
      /** The user's name, a non-empty string. Names match exactly: `Ada` and `ada` are two users. */
      readonly username: string;
    }

    /** What `req.signIn` takes beside the credentials. */
    interface SignInOptions {
      /**
       * The keys of the old session that move to the new one; a key that the old session lacks is skipped. Default: none.
       */
      readonly keep?: readonly string[] | undefined;
      /**
       * A name for the session in `sessions.users.list`: the device, say. Only its first 100 characters are kept. Default:
       * none.
       */
      readonly label?: string | undefined;
      /**
       * Whether the session outlives the browser. The settings must have the section `remember`, which says for how long.
       * It must be `true` or `false`, and a checkbox posts a string: `remember: req.body.remember === "on"`. Default: `false`.
       */
      readonly remember?: boolean | undefined;
    }
  }

  namespace Express {
    /** What Express's `Request` gains. Nothing needs declaring: importing `express-tokenizer` adds it. */
    interface Request {
      /**
       * Signs a user in whom your application has authenticated: starts a new session under a new id, and removes the old
       * one. Resolves when both are done. A `cookie.maxAge` that this request set holds for the new session.
       *
       * @param credentials the user name; the password and more, with `authenticator.type: local`
       * @param options what to keep of the old session, a label, whether to remember the user. Default: none of it.
       * @throws TokenizerError `SIGN_IN_INVALID` (500) when an argument is wrong. `SESSION_INVALID`,
       *   `SESSION_UNSERIALIZABLE` or `SESSION_TOO_LARGE` (500) when the new session cannot be stored. Status 503 when the
       *   store failed, the user has too many sessions, or somebody revoked them meanwhile. After any of these nothing has
       *   changed.
       *
       * @example
       * app.post("/login", async (req, res) => {
       *   const { username, password } = req.body;
       *   if (!(await isRight(username, password))) return res.status(403).render("login");
       *   await req.signIn({ username, password }, { keep: ["cart"], label: req.get("user-agent") });
       *   res.redirect("/");
       * });
       */
      signIn(credentials: ExpressTokenizer.SignInCredentials, options?: ExpressTokenizer.SignInOptions): Promise<void>;

      /**
       * Signs the user out: removes the session from the store and clears its cookie. `req.session` is then a new, empty
       * session, which is stored only if you put something into it. A visitor without a stored session causes no error.
       *
       * @throws TokenizerError with status 503 when the store failed; nothing has changed then
       *
       * @example
       * app.post("/logout", async (req, res) => {
       *   await req.signOut();
       *   res.redirect("/");
       * });
       */
      signOut(): Promise<void>;

      /**
       * Confirms the sign-in, after your application has asked for the password again. The session goes on under a new id,
       * and `req.signedInAt` is now. Everything else stays: its contents, its label, its place in the user's list, its
       * absolute end.
       *
       * @param credentials the signed-in user's, to be sealed in place of the old ones. Default: the old ones stay.
       * @throws TokenizerError `SIGN_IN_AGAIN` (401) when nobody is signed in, or the session ended meanwhile.
       *   `SIGN_IN_INVALID` (500) when the credentials are wrong, or somebody else's. Status 503 when the store failed,
       *   or somebody revoked the user's sessions just then. After any of these nothing has changed.
       */
      confirmSignIn(credentials?: ExpressTokenizer.SignInCredentials): Promise<void>;

      /**
       * The signed-in user's credentials, opened for this request. `undefined` when nobody is signed in, when the
       * authenticator keeps none, and when they do not open: then ask the user to sign in again.
       */
      readonly credentials?: ExpressTokenizer.Credentials | undefined;

      /**
       * When the user signed in, or last confirmed it with `req.confirmSignIn`. `undefined` when nobody is signed in, and
       * as long as a `req.session.username` that you set yourself is not saved. `sessions.fresh` checks it for a route.
       */
      readonly signedInAt?: Date | undefined;

      /**
       * Whether the request's cookie is a valid one of ours, but its session is over: expired, signed out or revoked. Your
       * login page can say so. `false` for a visitor without a cookie.
       */
      sessionEnded: boolean;
    }
  }
}

declare module "express-session" {
  /** What express-session's `SessionData` gains. To declare your own keys, do the same in your application. */
  interface SessionData {
    /**
     * Who is signed in; `undefined` when nobody is. `req.signIn` sets it. Names match exactly: `Ada` and `ada` are two
     * users. If you set it yourself, that signs the user in when the session is saved, and deleting it signs out.
     */
    username?: string;
    /** The sealed credentials. Read `req.credentials`, which has them opened. */
    credentials?: string;
  }
}
