/** `sessions`: who is signed in, since when, until when. */

import { visible } from "../visible.js";
import {
  type Command,
  type Io,
  jsonOption,
  lookedIn,
  type Parts,
  readSettings,
  settingsOption,
  withSessions,
} from "./command.js";
import { withProgress } from "./progress.js";
import { columns, counted, localTime } from "./text.js";

/** A live session, as JSON has it. */
interface Listed {
  /** The handle; the hashed session id where nobody is signed in. `revoke --session` takes either. */
  readonly id: string;
  readonly user: string | undefined;
  /** Known only where one user's sessions are listed. */
  readonly label?: string | undefined;
  readonly createdAt: Date;
  readonly lastSeenAt: Date;
  readonly expiresAt: Date;
}

const HEADINGS = ["id", "user", "began", "last seen", "ends", "label"];
/** Fixed, since the rows to come are not known. The first is that of a hashed id, or of a handle. */
const WIDTHS = [20, 19, 19, 19];
const ID_WIDTH = { hashed: 43, handle: 22 };

export const sessions: Command = {
  name: "sessions",
  summary: "list the live sessions",
  description: `Lists the live sessions: of everybody in no order, or with --user that user's, the oldest first and with their labels.
The id is what revoke --session takes; nothing of the cookie is in it. Times are local, in JSON UTC; a session was last
seen up to touch_interval later than told.

Any number of sessions is read a page at a time. With DynamoDB that reads the whole table, unless --user is given.`,
  options: {
    ...settingsOption,
    user: { value: "NAME", description: "of this user only; names match exactly" },
    ...jsonOption,
  },
  examples: [
    ["sessions", "everybody's"],
    ["sessions --user ada", "one user's"],
    ["sessions --json > sessions.json", "[{ id, user, label, createdAt, lastSeenAt, expiresAt }, …]"],
  ],
  async run(values, io) {
    const user = typeof values.user === "string" ? values.user : undefined;
    const asLines = values.json ? jsonLines : user === undefined ? tableOfAll : tableOfUser;
    let count = 0;
    const settings = readSettings(values, io);
    await withSessions(settings, io, (all) => {
      const listed = user === undefined ? everybodys(all) : usersOwn(all, user);
      const lines = asLines(each(listed, () => count++));
      return withProgress(
        io,
        () => counted(count, "session"),
        () => printAll(lines, io),
      );
    });
    if (count > 0 || values.json) return 0;
    const none = user === undefined ? "There are no live sessions." : `${visible(user)} has no live session.`;
    io.tell(`${none} ${lookedIn(settings, io)}`);
    return 0;
  },
};

async function printAll(lines: AsyncIterable<string>, { print }: Io): Promise<void> {
  for await (const line of lines) await print(line);
}

async function* everybodys({ listing }: Parts): AsyncGenerator<Listed> {
  for await (const { id, handle, user, createdAt, lastSeenAt, expiresAt } of listing.summaries()) {
    yield { id: handle ?? id, user, createdAt, lastSeenAt, expiresAt };
  }
}

async function* usersOwn({ sessions: { users } }: Parts, user: string): AsyncGenerator<Listed> {
  for (const { id, label, createdAt, lastSeenAt, expiresAt } of await users.list(user)) {
    yield { id, user, label, createdAt, lastSeenAt, expiresAt };
  }
}

async function* each<T>(items: AsyncIterable<T>, tell: () => unknown): AsyncGenerator<T> {
  for await (const item of items) {
    tell();
    yield item;
  }
}

const tableOfAll = (rows: AsyncIterable<Listed>) => table(rows, HEADINGS.slice(0, -1), ID_WIDTH.hashed);
const tableOfUser = (rows: AsyncIterable<Listed>) => table(rows, HEADINGS, ID_WIDTH.handle);

/** No row, no heading. */
async function* table(rows: AsyncIterable<Listed>, headings: string[], idWidth: number): AsyncGenerator<string> {
  const widths = [idWidth, ...WIDTHS];
  let isFirst = true;
  for await (const { id, user = "–", label = "", createdAt, lastSeenAt, expiresAt } of rows) {
    if (isFirst) yield columns(headings, widths);
    isFirst = false;
    yield columns([id, user, ...[createdAt, lastSeenAt, expiresAt].map(localTime), label], widths);
  }
}

/** One array, a session a line. */
async function* jsonLines(rows: AsyncIterable<Listed>): AsyncGenerator<string> {
  let last: string | undefined;
  for await (const row of rows) {
    yield last === undefined ? "[" : `${last},`;
    last = `  ${visible(JSON.stringify(row))}`;
  }
  if (last === undefined) return yield "[]";
  yield last;
  yield "]";
}
