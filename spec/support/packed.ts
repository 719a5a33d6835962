/** The package as its users get it: packed, and laid into projects of their own that hold what it declares and no more. */
import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
export const run = promisify(execFile);

interface Manifest {
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
}

interface PackReport {
  filename: string;
  size: number;
  unpackedSize: number;
  files: { path: string }[];
}

export interface Tarball {
  readonly file: string;
  /** Of the files in it, sorted. */
  readonly paths: readonly string[];
  /** Kilobytes. */
  readonly size: { readonly packed: number; readonly unpacked: number };
}

/** Packs what is built: `npm test` builds before the specs, which must not build while others read it. */
export async function pack(folder: string): Promise<Tarball> {
  const { stdout } = await run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], {
    cwd: ROOT,
  });
  // An array, or in newer releases of npm an object by package.
  const [report] = Object.values(JSON.parse(stdout)) as [PackReport];
  return {
    file: join(folder, report.filename),
    paths: report.files.map(({ path }) => path).sort(),
    size: { packed: report.size / 1000, unpacked: report.unpackedSize / 1000 },
  };
}

/** What a program prints, whether it is content or not. */
export async function outputIn(cwd: string, program: string, ...args: string[]): Promise<string> {
  // Some colour what they say where there is no terminal but CI is set.
  const env = { ...process.env, NO_COLOR: "1" };
  const { stdout } = await run(process.execPath, [program, ...args], { cwd, env }).catch(
    (failure: { stdout: string }) => failure,
  );
  return stdout;
}

/**
 * A project's node_modules out of copies from ours: the package with its declared dependencies, and those that are named.
 *
 * @param packages each with the name that it has there: `{ express: "express4" }`
 */
export async function layOut(project: string, tarball: Tarball, packages: Record<string, string>): Promise<void> {
  const modules = join(project, "node_modules");
  const own = join(modules, "express-tokenizer");
  mkdirSync(own, { recursive: true });
  await run("tar", ["-xzf", tarball.file, "-C", own, "--strip-components=1"]);
  for (const [name, source] of Object.entries(packages)) copy(modules, ROOT, source, name);
  copyDependencies(modules, ROOT, own);
}

/** Copies a package, with all it depends on, from where `from` finds it. */
function copy(modules: string, from: string, name: string, as = name): void {
  const target = join(modules, as);
  if (existsSync(target)) return;
  const source = found(from, name);
  if (!source) return; // optional, and not for this platform
  cpSync(source, target, { recursive: true });
  copyDependencies(modules, source, source);
}

function copyDependencies(modules: string, from: string, manifestIn: string): void {
  const manifest = JSON.parse(readFileSync(join(manifestIn, "package.json"), "utf8")) as Manifest;
  for (const name of Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies })) {
    const source = found(from, name);
    // What lies inside the package that needs it came along with the copy; what that needs in turn may not have.
    if (source?.startsWith(join(from, "node_modules")) && from !== ROOT) copyDependencies(modules, source, source);
    else copy(modules, from, name);
  }
}

function found(from: string, name: string): string | undefined {
  for (let at = from; ; at = dirname(at)) {
    const candidate = join(at, "node_modules", name);
    if (existsSync(candidate)) return candidate;
    if (at === dirname(at)) return undefined;
  }
}
