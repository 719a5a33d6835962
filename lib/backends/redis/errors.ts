/** What goes wrong with Redis, and how it is told: the cause and the way out, never a password, a key or a value. */
import { TokenizerError } from "../../errors.js";
import { explainTls, reasonOf } from "../network.js";

/** Providers and proxies say so in words of their own. */
const OF_COMMAND = /unknown|unsupported|not (?:supported|allowed|permitted)|disabled|forbidden/i;

const MISPLACED: ReadonlySet<string> = new Set(["READONLY", "MASTERDOWN", "LOADING"]);
const SIGNED_OUT: ReadonlySet<string> = new Set(["NOAUTH", "WRONGPASS"]);

/** Redis answered with an error. `word` is its first one: `OOM`, `MOVED`. */
export class Refusal extends Error {
  readonly word: string;
  /** While signing in, before any command of ours. */
  readonly atConnect: boolean;
  /** Whether it is the command that is refused, rather than this key or this moment. */
  readonly isOfCommand: boolean;
  /** `SCAN`, where the answer does not name it. */
  readonly unnamed: string | undefined;

  constructor(
    readonly server: string,
    answer: string,
    { atConnect = false, command = "" } = {},
  ) {
    super(essenceOf(answer));
    this.word = /^[A-Z]+\b/.exec(this.message)?.[0] ?? "";
    this.atConnect = atConnect;
    this.isOfCommand = /^(ERR|NOCOMMAND|)$/.test(this.word) && OF_COMMAND.test(this.message);
    const isNamed = this.word === "NOCOMMAND" || this.message.toUpperCase().includes(command);
    this.unnamed = this.isOfCommand && !isNamed ? command : undefined;
  }

  /** The server is a replica by now, or starts anew: nothing was done, and another one may be master. */
  get isMisplaced(): boolean {
    return MISPLACED.has(this.word);
  }

  /** Whoever signed in is signed out: nothing was done. */
  get isSignedOut(): boolean {
    return !this.atConnect && SIGNED_OUT.has(this.word);
  }
}

/** The connection could not be made, or was lost before the answer came: whether the command ran is not known. */
export class ConnectionFailure extends Error {
  override readonly cause: Error;
  /** Whether it had been there. */
  readonly wasConnected: boolean;
  /** Whether it is by TLS. */
  readonly isSecure: boolean;
  /** Whether the address is one that a server announced. */
  readonly isAnnounced: boolean;
  /** What was not answered, of a connection by which others were. */
  readonly refused: string | undefined;

  constructor(
    readonly server: string,
    cause: Error,
    { wasConnected = false, isSecure = false, isAnnounced = false, refused = undefined as string | undefined },
  ) {
    super(cause.message);
    this.cause = cause;
    this.wasConnected = wasConnected;
    this.isSecure = isSecure;
    this.isAnnounced = isAnnounced;
    this.refused = refused;
  }
}

/**
 * Redis names the arguments of a command that it does not know, and the place in a script where another one failed;
 * Redis 6 puts a minus between that place and the error itself, Redis 7.2 and Valkey leave out the word NOPERM there. In
 * protected mode it answers with a page.
 */
function essenceOf(answer: string): string {
  return answer
    .replace(/^(?:ERR Error running script .*?: (?=@user_script))?(?:@user_script: ?\d+: )*-?/, "")
    .replace(/^ERR ACL failure in script: /, "NOPERM ")
    .replace(/,? with args beginning with.*$/s, "")
    .replace(/ script: [0-9a-f]{40}, on .*$/s, "")
    .replace(/^(DENIED .*?)\. .*$/s, "$1")
    .replace(/[.?\s]+$/, "");
}

/** What a refusal says that the settings can mend, and how. */
const ADVICE: readonly (readonly [RegExp, string])[] = [
  [/^NOPERM/, "Give the user of tokenizer.username that right, or name another one."],
  [/^DENIED/, "Set a password at the server, and tokenizer.password."],
  [/^NOAUTH/, "Set tokenizer.password, and tokenizer.username if it is not the default user's."],
  [
    /^WRONGPASS|\bAUTH\b|invalid password/,
    "Check tokenizer.username and tokenizer.password, or where the password is from.",
  ],
  [/DB index|\bSELECT\b/, "Check tokenizer.database."],
  [/^MOVED/, "It is one of a Cluster: set tokenizer.options.cluster: true, and nodes."],
  [/cluster support disabled/, "Leave out tokenizer.options.cluster."],
  [/^NOMASTER|\bSENTINEL\b/, "Check tokenizer.options.sentinel and tokenizer.options.nodes."],
];

/**
 * The error that callers get.
 *
 * @param atStart the backend is being opened: what a user must mend in the settings is told as such.
 */
export function explain(error: unknown, { atStart = false } = {}): TokenizerError {
  if (error instanceof TokenizerError) return error;
  if (error instanceof Refusal) return explainRefusal(error, atStart);
  if (error instanceof ConnectionFailure) return explainFailure(error, atStart);
  const reason = error instanceof Error ? error.message : String(error);
  return new TokenizerError("STORE_UNAVAILABLE", `Redis failed: ${reason}.`, { cause: error });
}

/** `STORE_TIMEOUT`, naming the server. */
export function timedOut(server: string, milliseconds: number): TokenizerError {
  return new TokenizerError(
    "STORE_TIMEOUT",
    `Redis at ${server} did not answer within ${Number((milliseconds / 1000).toFixed(3))} seconds.`,
  );
}

function explainRefusal(refusal: Refusal, atStart: boolean): TokenizerError {
  const { server, message, atConnect, unnamed } = refusal;
  const told = `Redis at ${server} refused${unnamed ? ` ${unnamed}` : ""}: ${message}.`;
  const advice = atStart || atConnect ? adviceOn(refusal) : undefined;
  return advice === undefined
    ? new TokenizerError("STORE_UNAVAILABLE", told, { cause: refusal })
    : new TokenizerError("STORE_UNUSABLE", `${told} ${advice}`, { cause: refusal });
}

function adviceOn({ message, isOfCommand }: Refusal): string | undefined {
  const [, advice] = ADVICE.find(([said]) => said.test(message)) ?? [];
  return advice ?? (isOfCommand ? "It is needed: have the server, or what stands before it, allow it." : undefined);
}

function explainFailure(failure: ConnectionFailure, atStart: boolean): TokenizerError {
  const { server, cause, wasConnected } = failure;
  const { code = "" } = cause as NodeJS.ErrnoException;
  const told = explainTls(cause);
  if (told) return new TokenizerError("STORE_UNUSABLE", `Redis at ${server} cannot be used: ${told}`, { cause });
  const reason = isForeign(cause) ? FOREIGN : reasonOf(cause);
  const text = wasConnected
    ? `The connection to Redis at ${server} was lost: ${reason}.`
    : `Redis at ${server} cannot be reached: ${reason}.`;
  return new TokenizerError("STORE_UNAVAILABLE", atStart ? text + hint(failure, code) : text, { cause });
}

/** As the package says it of the first byte, but of that of a TLS alert, 21. */
const isForeign = ({ message }: Error): boolean => /^Unknown RESP type (?!21 )/.test(message);

const FOREIGN = "what answered does not speak the protocol of Redis";

/** What else it may be. Where the two sides do not speak alike, each may end the connection, or wait for the other. */
function hint({ cause, wasConnected, isSecure, isAnnounced, refused }: ConnectionFailure, code: string): string {
  // Who ends a connection with a word has said why.
  if (cause instanceof Refusal) return "";
  if (isForeign(cause)) return " Check tokenizer.host and tokenizer.port, or tokenizer.url.";
  // Some proxies end the connection at what they do not know.
  if (refused) return ` It had answered before: if a proxy stands before Redis, have it allow ${refused}.`;
  if (wasConnected && !isSecure)
    return " If it expects TLS, set tokenizer.options.ssl: true, or rediss:// in tokenizer.url.";
  if (wasConnected) return " If it wants a client's certificate, set tokenizer.options.cert and tokenizer.options.key.";
  if (isAnnounced) {
    return " If it is reached at another one, have it announce that: cluster-announce-ip, or replica-announce-ip with Sentinels.";
  }
  return code === "" && isSecure
    ? " If it does not speak TLS there, leave out tokenizer.options.ssl, or write redis:// in tokenizer.url."
    : "";
}
