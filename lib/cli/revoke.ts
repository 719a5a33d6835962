/** `revoke`: ends sessions. */
import { SESSION_PREFIX } from "../session-id.js";
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
import { placeOf } from "./place.js";
import { withProgress } from "./progress.js";
import { counted } from "./text.js";

/** What is to be ended. */
interface Target {
  /** `all sessions of ada`. */
  readonly what: string;
  /** Told where there was nothing to end, and whether that is a failure. */
  readonly none: string;
  readonly mustBe: boolean;
  /** Ends it; answers how many sessions. */
  end(parts: Parts, looked: () => void): Promise<number>;
}

/** The two ids that `sessions` prints. */
const HASHED = /^[\w-]{43}$/;
const HANDLE = /^[\w-]{22}$/;

export const revoke: Command = {
  name: "revoke",
  summary: "end sessions: a user's, one, or everyone's",
  description: `Ends sessions, and tells how many. They stay ended: a request that is under way does not bring them back. Take
exactly one of --user, --session and --all. At a terminal it asks first.

A session that is not there is a failure, exit code 1; a user who has none is not.`,
  options: {
    ...settingsOption,
    user: { value: "NAME", description: "end all sessions of this user; names match exactly" },
    session: { value: "ID", description: "end this session, by the id that the command sessions prints" },
    all: { description: "end all sessions of all users; those of nobody stay" },
    yes: { description: "do not ask" },
    ...jsonOption,
  },
  examples: [
    ["revoke --user ada", "all sessions of one user"],
    ["revoke --session fKMZpUDJUAlKCRf9yNtXbg", "one session"],
    ["revoke --all --yes", "of all users, without being asked"],
  ],
  async run(values, io) {
    const target = targetOf(values);
    const settings = readSettings(values, io);
    const place = placeOf(settings, io.env);
    if (!values.yes && !(await isSure(`End ${target.what}? They are in ${visible(place)}. [y/N] `, io))) {
      io.tell("Nothing was ended.");
      return 1;
    }
    const ended = await withSessions(settings, io, (parts) => endWithProgress(target, parts, io));
    if (values.json) io.print(JSON.stringify({ ended }));
    else if (ended > 0) io.print(`${counted(ended, "session")} ended.`);
    if (ended > 0) return 0;
    if (target.mustBe || !values.json) io.tell(`${target.none} ${lookedIn(settings, io)}`);
    return target.mustBe ? 1 : 0;
  },
};

function targetOf({ user, session, all }: Values): Target {
  const chosen = [user, session, all].filter((value) => value !== undefined);
  if (chosen.length !== 1) throw new UsageError("Say what to end: exactly one of --user, --session and --all.");
  if (typeof user === "string") return ofUser(user);
  return typeof session === "string" ? ofId(session) : EVERYONES;
}

const EVERYONES: Target = {
  what: "all sessions of all users",
  none: "Nobody is signed in.",
  mustBe: false,
  end: ({ sessions }) => sessions.users.revokeEveryone(),
};

function ofUser(user: string): Target {
  const name = visible(user);
  return {
    what: `all sessions of ${name}`,
    none: `${name} has no live session.`,
    mustBe: false,
    end: ({ sessions }) => sessions.users.revoke(user),
  };
}

function ofId(id: string): Target {
  // What is no id may be a cookie's value, pasted: it is not shown.
  const isId = HASHED.test(id) || HANDLE.test(id);
  const what = isId ? `session ${id}` : "session of that id";
  return {
    what: `the ${what}`,
    none: `There is no live ${what}. The command sessions lists those there are.`,
    mustBe: true,
    end: async (parts, looked) => Number(isId && (await endSession(parts, id, looked))),
  };
}

async function endSession({ engine, listing }: Parts, id: string, looked: () => void): Promise<boolean> {
  if (HASHED.test(id)) return engine.remove(SESSION_PREFIX + id);
  // Whose it is, the handle does not say.
  for await (const summary of listing.summaries()) {
    looked();
    if (summary.handle === id) return engine.remove(SESSION_PREFIX + summary.id);
  }
  return false;
}

async function endWithProgress(target: Target, parts: Parts, io: Io): Promise<number> {
  let count = 0;
  const text = () => (count > 0 ? `${counted(count, "session")} looked at` : `Ending ${target.what}`);
  return withProgress(io, text, () => target.end(parts, () => count++));
}

/** Where nobody can be asked, whoever wrote the command was. */
async function isSure(question: string, { terminal }: Io): Promise<boolean> {
  return !terminal?.ask || /^y(es)?$/i.test((await terminal.ask(question)).trim());
}
