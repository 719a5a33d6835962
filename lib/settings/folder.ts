/** The folder of `type: local`: which one a setting means, and which ones do not last. */
import { existsSync, realpathSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join, resolve, sep } from "node:path";

/** With a dot: then file watchers restart nothing and `express.static` serves nothing of it. */
const DEFAULT = ".tokens";

const HOME = /^~(?=$|[\\/])/;
const VARIABLE = /\$(\w+|[{(])|%\w+%/;

/**
 * Beside the settings file, not in a state folder that the environment names: a command in a shell has another
 * environment than the service has, and would look elsewhere.
 *
 * @param file the settings file. Missing: the working directory stands for its folder.
 */
export function folderOf(path: string | undefined, file: string | undefined): string {
  const beside = file === undefined ? process.cwd() : dirname(file);
  return resolve(
    beside,
    (path ?? DEFAULT).replace(HOME, (home) => homeFolder() ?? home),
  );
}

/** Why a path would not name what is meant by it. */
export function whyNotMeant(path: string): string | undefined {
  return NOT_MEANT.find(([isMeantOtherwise]) => isMeantOtherwise(path))?.[1];
}

/** Where the user has none, Node throws, or answers what an empty HOME says. */
function homeFolder(): string | undefined {
  try {
    return homedir() || undefined;
  } catch {
    return undefined;
  }
}

const NOT_MEANT: readonly (readonly [(path: string) => boolean, string])[] = [
  [(path) => path !== path.trim(), "the white space around it would be part of the name; take it away"],
  [(path) => /^(["']).*\1$/.test(path), "the quotes around it would be part of the name; take them away"],
  [(path) => /^(file:|[a-z][a-z\d+.-]+:\/\/)/i.test(path), "it is a URL; write the folder's path alone"],
  [
    (path) => process.platform !== "win32" && /^([a-z]:[\\/]|\\\\)/i.test(path),
    "it is a path of Windows, and this is another system; write one of this system, or set TOKENIZER_PATH here",
  ],
  [
    (path) => VARIABLE.test(path),
    "variables are not replaced here; write the whole path, or ~/ for the home folder, or let the shell set TOKENIZER_PATH",
  ],
  [
    (path) => path.startsWith("~") && !HOME.test(path),
    "~ stands for the home folder of the user that the application runs as, and for no other; write the whole path, or ./ before the name",
  ],
  [
    (path) => HOME.test(path) && homeFolder() === undefined,
    "this user has no home folder, and HOME names none; write the whole path",
  ],
];

/** The folder that is emptied by the system, now and then or at each start, and that the path leads into. */
export function temporaryFolderAbove(path: string, env: NodeJS.ProcessEnv): string | undefined {
  const places = [tmpdir(), env.TMPDIR, "/tmp", "/var/tmp", "/dev/shm", "/run", "/var/run"].filter((place) => place);
  const real = realPathOf(path);
  return places.find((place) => place && `${real}${sep}`.startsWith(`${realPathOf(resolve(place))}${sep}`));
}

/** As far as it is there. */
function realPathOf(path: string): string {
  const above = dirname(path);
  if (existsSync(path)) return realpathSync(path);
  return above === path ? path : join(realPathOf(above), path.slice(above.length));
}
