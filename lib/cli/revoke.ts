/** `revoke`: ends sessions. */
import type { SessionSummary } from "../session/listing.js";
import { hashedKey, SESSION_PREFIX } from "../session-id.js";
import type { LoadedSettings } from "../settings/load.js";
import { visible } from "../visible.js";
import {
  type Command,
  type Io,
  jsonOption,
  lookedIn,
  type Parts,
  readSettings,
  settingsOption,
  UsageError,
  type Values,
  withSessions,
} from "./command.js";
import { findById, isId, LENGTHS } from "./ids.js";
import { placeOf } from "./place.js";
import { withProgress } from "./progress.js";
import { counted } from "./text.js";

/** What is to be ended. */
interface Target {
  /** `all sessions of ada`. */
  readonly what: string;
  /** Asked at a terminal; nothing where there is nothing to end. */
  question(parts: Parts, looked: () => void): Promise<string | undefined>;
  /** Ends it; answers how many sessions. */
  end(parts: Parts, looked: () => void): Promise<number>;
  /** Told where there was nothing to end, and whether that is a failure. */
  readonly none: string;
  readonly mustBe: boolean;
}

export const revoke: Command = {
  name: "revoke",
  summary: "end sessions: a user's, one, or everyone's",
  description: `Ends sessions, and prints how many. They stay ended: a request that is under way does not bring them back. Take exactly
one of --user, --session and --all. At a terminal it looks for them first, and asks.

If the session is not there, the exit code is 1. If the user has none, it is 0.`,
  options: {
    ...settingsOption,
    user: { value: "NAME", description: "end all sessions of this user; names match exactly" },
    session: {
      value: "ID",
      description: "end this session, by the id, or its beginning, that the command sessions shows",
    },
    all: { description: "end all sessions of all users; those of nobody stay" },
    yes: { description: "do not ask" },
    ...jsonOption,
  },
  examples: [
    ["revoke --user ada", "all sessions of one user"],
    ["revoke --session fKMZpUDJUA", "one session"],
    ["revoke --all --yes", "all, without being asked"],
  ],
  async run(values, io) {
    const target = targetOf(values);
    const settings = readSettings(values, io);
    const ended = await withSessions(settings, io, async (parts) => {
      const isSure = values.yes === true || (await ask(target, parts, settings, io));
      return isSure ? withCount(io, `Ending ${target.what}`, (looked) => target.end(parts, looked)) : undefined;
    });
    if (ended === undefined) {
      io.tell("Nothing was ended.");
      return 1;
    }
    if (values.json) io.print(JSON.stringify({ ended }));
    else if (ended > 0) io.print(`${counted(ended, "session")} ended.`);
    if (ended > 0) return 0;
    if (target.mustBe || !values.json) io.tell(`${target.none} ${lookedIn(settings, io)}`);
    return target.mustBe ? 1 : 0;
  },
};

/** Where nobody can be asked, whoever wrote the command was; and where there is nothing to end, there is nothing to ask. */
async function ask(target: Target, parts: Parts, settings: LoadedSettings, io: Io): Promise<boolean> {
  const { ask: askAt } = io.terminal ?? {};
  if (!askAt && io.isAttended) throw new UsageError("Your answer cannot be asked for here: add --yes.");
  if (!askAt) return true;
  const question = await withCount(io, `Looking for ${target.what}`, (looked) => target.question(parts, looked));
  if (question === undefined) return true;
  const place = visible(placeOf(settings, io.env));
  return /^y(es)?$/i.test((await askAt(`${question}, in ${place}? [y/N] `)).trim());
}

function targetOf({ user, session, all }: Values): Target {
  const chosen = [user, session, all].filter((value) => value !== undefined);
  if (chosen.length !== 1) throw new UsageError("Say what to end: exactly one of --user, --session and --all.");
  if (typeof user === "string") return ofUser(user);
  return typeof session === "string" ? ofId(session) : EVERYONES;
}

const EVERYONES: Target = {
  what: "all sessions of all users",
  question: async () => "End all sessions of all users",
  end: ({ sessions }) => sessions.users.revokeEveryone(),
  none: "Nobody is signed in.",
  mustBe: false,
};

function ofUser(user: string): Target {
  const name = visible(user);
  return {
    what: `all sessions of ${name}`,
    async question({ sessions }) {
      const { length } = await sessions.users.list(user);
      if (length === 0) return undefined;
      return `End ${length === 1 ? "the only session" : `all ${length} sessions`} of ${name}`;
    },
    end: ({ sessions }) => sessions.users.revoke(user),
    none: `${name} has no live session.`,
    mustBe: false,
  };
}

function ofId(id: string): Target {
  const what = isId(id) ? `session ${id}` : "session of that id";
  const none = isId(id) ? `There is no live ${what}.` : `That is no session's id: one has ${LENGTHS}.`;
  // It is stored under that: no others need to be looked at.
  const key = hashedKey(id);
  let found: SessionSummary | undefined;
  const find = async (parts: Parts, looked: () => void) => {
    if (isId(id)) found ??= await findById(parts, id, looked);
    return found;
  };
  return {
    what: `the ${what}`,
    async question(parts, looked) {
      if (key) return `End the ${what}`;
      const session = await find(parts, looked);
      return session && `End the ${what}${session.user === undefined ? "" : ` of ${visible(session.user)}`}`;
    },
    async end(parts, looked) {
      if (key) return Number(await parts.engine.remove(key, "revoked"));
      const session = await find(parts, looked);
      return Number(session !== undefined && (await parts.engine.remove(SESSION_PREFIX + session.id, "revoked")));
    },
    none: `${none} The command sessions lists those there are.`,
    mustBe: true,
  };
}

async function withCount<T>(io: Io, doing: string, work: (looked: () => void) => Promise<T>): Promise<T> {
  let count = 0;
  const text = () => (count > 0 ? `${counted(count, "session")} looked at` : doing);
  return withProgress(io, text, () => work(() => count++));
}
