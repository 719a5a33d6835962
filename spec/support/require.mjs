// What lib loads when it is needed it requires, as CommonJS does.
import { createRequire } from "node:module";

globalThis.require = createRequire(import.meta.url);
