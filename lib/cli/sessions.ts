/** `sessions`: who is signed in, since when, until when. */

import { visible } from "../visible.js";
import {
  type Command,
  type Io,
  jsonOption,
  lookedIn,
  NO_COLOURS,
  type Parts,
  readSettings,
  settingsOption,
  withSessions,
} from "./command.js";
import { FULL_ID, SHORT_ID } from "./ids.js";
import { withProgress } from "./progress.js";
import { columns, counted, cut, localTime } from "./text.js";

/** A live session, as JSON has it. */
interface Listed {
  /** The handle; the hashed session id where nobody is signed in. `revoke --session` takes either. */
  readonly id: string;
  readonly user: string | undefined;
  /** Known only where one user's sessions are listed. */
  readonly label?: string | undefined;
  readonly remembered: boolean;
  readonly bound: boolean;
  readonly createdAt: Date;
  readonly lastSeenAt: Date;
  readonly expiresAt: Date;
}

/** Columns between two cells. */
const GAP = 2;
/** As `localTime` has it. */
const TIME_WIDTH = 12;
/** Of a user's name where it is not cut, and the most that it has of a wide terminal. Columns. */
const NAME_WIDTH = { usual: 26, most: 40 };

export const sessions: Command = {
  name: "sessions",
  summary: "list the live sessions",
  description: `Lists the live sessions: everybody's in no order; with --user that user's, the oldest first and with their labels. Give
the id to revoke --session; nothing of the cookie is in it. Times are local (in JSON: UTC); the last request may have come up
to touch_interval later. A terminal shows the beginning of each id, and cuts long names; a file and JSON have all.

It reads a page at a time, so any number will do. With DynamoDB it reads the whole table, unless you give --user.`,
  options: {
    ...settingsOption,
    user: { value: "NAME", description: "of this user only; names match exactly" },
    ...jsonOption,
  },
  examples: [
    ["sessions", "everybody's"],
    ["sessions --user ada", "one user's"],
    ["sessions --json > sessions.json", "as JSON"],
  ],
  async run(values, io) {
    const user = typeof values.user === "string" ? values.user : undefined;
    const asLines = values.json ? jsonLines : user === undefined ? tableOfAll : tableOfUser;
    let count = 0;
    const settings = readSettings(values, io);
    await withSessions(settings, io, (all) => {
      const listed = user === undefined ? everybodys(all) : usersOwn(all, user);
      const lines = asLines(
        each(listed, () => count++),
        io,
      );
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
  for await (const { handle, ...summary } of listing.summaries()) {
    yield { ...summary, id: handle ?? summary.id };
  }
}

async function* usersOwn({ sessions: { users } }: Parts, user: string): AsyncGenerator<Listed> {
  for (const { current: _, ...session } of await users.list(user)) {
    yield { ...session, user };
  }
}

async function* each<T>(items: AsyncIterable<T>, tell: () => unknown): AsyncGenerator<T> {
  for await (const item of items) {
    tell();
    yield item;
  }
}

/** A column of the table: its cells are whole where there is no terminal. */
interface Column {
  readonly heading: string;
  readonly width: number;
  cell(session: Listed): string;
}

function tableOfAll(rows: AsyncIterable<Listed>, io: Io): AsyncGenerator<string> {
  const id = idColumn(io, FULL_ID.hashed);
  return table(rows, [id, userColumn(io, restOf(io, id)), ...timeColumns(Date.now())], io);
}

function tableOfUser(rows: AsyncIterable<Listed>, io: Io): AsyncGenerator<string> {
  const id = idColumn(io, FULL_ID.handle);
  const rest = restOf(io, id);
  const label: Column = { heading: "label", width: 0, cell: ({ label = "" }) => cut(visible(label), rest) };
  return table(rows, [id, ...timeColumns(Date.now()), label], io);
}

function idColumn({ width }: Io, full: number): Column {
  const shown = width === undefined ? full : SHORT_ID;
  return { heading: "id", width: shown, cell: ({ id }) => id.slice(0, shown) };
}

function userColumn({ width }: Io, rest: number): Column {
  const heading = "user";
  if (width === undefined) return { heading, width: NAME_WIDTH.usual, cell: ({ user = "–" }) => visible(user) };
  const most = Math.min(rest, NAME_WIDTH.most);
  return { heading, width: most, cell: ({ user = "–" }) => cut(visible(user), most) };
}

/** @param now milliseconds since 1970 */
function timeColumns(now: number): Column[] {
  const column = (heading: string, time: (session: Listed) => Date): Column => ({
    heading,
    width: TIME_WIDTH,
    cell: (session) => localTime(time(session), now),
  });
  return [
    column("began", ({ createdAt }) => createdAt),
    column("last seen", ({ lastSeenAt }) => lastSeenAt),
    column("ends", ({ expiresAt }) => expiresAt),
  ];
}

/** What is left of the terminal's width beside the id and the times; at least room for a few letters. */
function restOf({ width = Number.POSITIVE_INFINITY }: Io, id: Column): number {
  return Math.max(8, width - id.width - 3 * TIME_WIDTH - 4 * GAP);
}

/** No row, no heading. */
async function* table(rows: AsyncIterable<Listed>, all: readonly Column[], io: Io): AsyncGenerator<string> {
  const widths = all.map(({ width }) => width);
  const { bold } = io.colours ?? NO_COLOURS;
  let isFirst = true;
  for await (const session of rows) {
    const headings = all.map(({ heading }) => heading);
    if (isFirst) yield bold(columns(headings, widths));
    isFirst = false;
    const cells = all.map(({ cell }) => cell(session));
    yield columns(cells, widths);
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
