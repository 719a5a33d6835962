/** Where the project's folder is, seen from the sources (demo-app/) as well as from what is compiled (dist-demo/). */

import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../", import.meta.url));
