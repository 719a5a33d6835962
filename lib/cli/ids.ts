/** The ids that `sessions` shows and `revoke` takes: a handle, or the hashed session id where nobody is signed in. */
import { TokenizerError } from "../errors.js";
import type { SessionSummary } from "../session/listing.js";
import type { Parts } from "./command.js";

/** In characters. */
export const FULL_ID = { handle: 22, hashed: 43 };

/** The beginning that a terminal shows, and the shortest that is taken: 60 random bits, so two are hardly ever alike. In characters. */
export const SHORT_ID = 10;

export const LENGTHS = `${SHORT_ID} to ${FULL_ID.handle} characters, or ${FULL_ID.hashed}`;

/** Whether it may be one: what else is pasted may be a cookie's value, and is not to be shown. */
export function isId(text: string): boolean {
  const { length } = text;
  return /^[\w-]+$/.test(text) && length >= SHORT_ID && (length <= FULL_ID.handle || length === FULL_ID.hashed);
}

/**
 * The session of an id. All are looked at, since none of them says whose it is.
 *
 * @param looked is called for each
 * @throws TokenizerError `ARGUMENT_INVALID` where several ids begin so
 */
export async function findById(
  { listing }: Parts,
  id: string,
  looked: () => void,
): Promise<SessionSummary | undefined> {
  const found: SessionSummary[] = [];
  for await (const summary of listing.summaries()) {
    looked();
    const { handle = summary.id } = summary;
    if (handle.startsWith(id)) found.push(summary);
  }
  if (found.length <= 1) return found[0];
  throw new TokenizerError(
    "ARGUMENT_INVALID",
    `${found.length} sessions have ids that begin with ${id}. Take a whole id: sessions --json prints them.`,
  );
}
