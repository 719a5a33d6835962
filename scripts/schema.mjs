// Writes settings.schema.json from the built settings, so that there is one source for both.
import { writeFileSync } from "node:fs";
import { settingsSchema } from "../dist/settings/settings.js";

writeFileSync(new URL("../settings.schema.json", import.meta.url), `${JSON.stringify(settingsSchema, null, 2)}\n`);
