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

/** Of one request. */
class State {
  readonly sealer: CredentialsSealer;
  opened: Opened | undefined;

  constructor(sealer: CredentialsSealer) {
    this.sealer = sealer;
  }
}

const STATE = Symbol("credentials");

interface WithState {
  [STATE]?: State | undefined;
}

/** One for all requests: a getter for each would turn every request into a slow object, and cost half of what a request takes. */
const credentials: PropertyDescriptor & ThisType<Request & WithState> = {
  configurable: true,
  get() {
    const state = this[STATE];
    return state && openedFor(this, state);
  },
};

/**
 * Gives the request its `credentials`, and seals anew what an older `safe_password` sealed.
 *
 * @param sealer nothing for an authenticator that keeps no credentials: then there never are any
 */
export function exposeCredentials(req: Request & WithState, sealer: CredentialsSealer | undefined): void {
  Object.defineProperty(req, "credentials", credentials);
  sealer?.renew(req.session);
  // An outer middleware may have had one.
  req[STATE] = sealer && new State(sealer);
}

function openedFor({ session }: Request, state: State): ExpressTokenizer.Credentials | undefined {
  // What the application put in the session's place may be none.
  if (!session?.credentials || typeof session.id !== "string") return undefined;
  const { id, username, credentials: sealed } = session;
  const { opened } = state;
  // One by one: what a stranger wrote into the store may be something that does not turn into text.
  if (opened?.id === id && opened.username === username && opened.sealed === sealed) return opened.credentials;
  state.opened = { id, username, sealed, credentials: state.sealer.open(session) };
  return state.opened.credentials;
}
