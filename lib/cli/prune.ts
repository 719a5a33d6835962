/** `prune`: drops what has expired. */
import { type Command, jsonOption, lookedIn, readSettings, settingsOption, withSessions } from "./command.js";
import { withProgress } from "./progress.js";
import { counted } from "./text.js";

export const prune: Command = {
  name: "prune",
  summary: "drop expired records from the store",
  description: `Removes the records of expired sessions, and prints how many. Those sessions are over in any case; this makes room. With
type: local, postgres and module the application does it every minute. Redis does it by itself, and so does the TTL of
DynamoDB, within days. With DynamoDB this reads the whole table.`,
  options: { ...settingsOption, ...jsonOption },
  examples: [
    ["prune", "the store of settings.yml"],
    ["prune --settings config/settings.yml", "of another settings file"],
    ["prune --json", '{ "dropped": n }'],
  ],
  async run(values, io) {
    const settings = readSettings(values, io);
    const dropped = await withSessions(settings, io, ({ listing }) =>
      withProgress(
        io,
        () => "Dropping expired records",
        () => listing.prune(),
      ),
    );
    if (values.json) io.print(JSON.stringify({ dropped }));
    else if (settings.tokenizer.type === "redis") io.print("Redis drops expired records by itself: nothing to do.");
    else io.print(`${counted(dropped, "expired record")} dropped.${dropped > 0 ? "" : ` ${lookedIn(settings, io)}`}`);
    return 0;
  },
};
