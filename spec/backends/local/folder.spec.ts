import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, jest, test } from "@jest/globals";

// The kind of a file system is the kernel's word; here it is put into its mouth, and everything else is real.
let kind: number | undefined;
/** What another process does once a folder was made. */
let meanwhile: ((path: string) => void) | undefined;
jest.unstable_mockModule("node:fs", () => ({
  ...fs,
  mkdirSync: (path: string, options: fs.MakeDirectoryOptions) => {
    fs.mkdirSync(path, options);
    meanwhile?.(path);
  },
  statfsSync: (path: string) => ({ ...fs.statfsSync(path), ...(kind !== undefined && { type: kind }) }),
}));
const { preparePrivateFolder } = await import("../../../lib/backends/local/folder.js");
const { LocalBackend } = await import("../../../lib/backends/local/backend.js");
const { TokenizerError } = await import("../../../lib/errors.js");

const root = mkdtempSync(join(tmpdir(), "express-tokenizer-folder-"));

afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

describe("a network file system is refused", () => {
  // From statfs(2).
  test.each([
    ["NFS", 0x6969],
    ["SMB", 0x517b],
    ["SMB", 0xfe534d42],
    ["CIFS", 0xff534d42],
    ["9p", 0x01021997],
    ["Ceph", 0x00c36400],
    ["Lustre", 0x0bd00bd0],
    ["GPFS", 0x47504653],
    ["BeeGFS", 0x19830326],
    ["AFS", 0x5346414f],
    ["AFS", 0x6b414653],
    ["Coda", 0x73757245],
    ["VirtualBox's shared folders", 0x786f4256],
    ["VMware's shared folders", 0xbacbacbc],
    ["Parallels' shared folders", 0x7c7c6673],
  ])("%s (%i)", (name, type) => {
    kind = type;
    const path = join(root, `network-${type}`);
    let error: unknown;
    try {
      preparePrivateFolder(path);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(TokenizerError);
    expect(error).toMatchObject({
      code: "STORE_UNUSABLE",
      status: 503,
      message: `The folder ${path} cannot keep sessions: it is on a network file system (${name}), which the database does not survive. Name another folder in tokenizer.path.`,
    });
  });
});

describe("what can be no folder is refused at once", () => {
  const refusals = (path: string) => {
    kind = undefined;
    try {
      preparePrivateFolder(path);
      return "";
    } catch (error) {
      expect(error).toBeInstanceOf(TokenizerError);
      return (error as Error).message;
    }
  };

  const refused = (path: string, reason: string) =>
    `The folder ${path} cannot keep sessions: ${reason}. Name another folder in tokenizer.path.`;

  // Node's own way of making the folders above goes on for ever in some of these.
  test.each(["/proc/x", "/proc/x/y", "/proc/self/x"])("%s", (path) => {
    expect(refusals(path)).toBe(refused(path, "no folder can be made there (ENOENT)"));
  });

  test("/dev/null/x, and what is deeper below it", () => {
    for (const path of ["/dev/null/x", "/dev/null/x/y"]) {
      expect(refusals(path)).toBe(refused(path, "/dev/null is a file"));
    }
  });

  test("below a link to nothing", () => {
    fs.symlinkSync(join(root, "nothing"), join(root, "link"));
    const path = join(root, "link", "a", "b");
    expect(refusals(path)).toBe(refused(path, "no folder can be made there (ENOENT)"));
  });

  test("a name that is too long for any folder", () => {
    const path = join(root, "a".repeat(256));
    expect(refusals(path)).toBe(refused(path, "no folder can be made there (ENAMETOOLONG)"));
  });

  test("a path that is too long for SQLite, by one byte, and by way of a link", async () => {
    const longest = 504 - Buffer.byteLength("/sessions.db");
    const long = join(root, "é".repeat(100), "b".repeat(200));
    const path = join(long, "c".repeat(longest - Buffer.byteLength(long) - 1));
    expect(refusals(`${path}c`)).toBe(refused(`${path}c`, "its path is 1 bytes too long for the database"));
    expect(fs.existsSync(long)).toBe(false);
    // The longest that is let through is one that SQLite opens.
    const backend = new LocalBackend({ path }, { now: Date.now, timeout: 5000, warn: () => {} });
    await backend.write("k", { value: "v", version: "1", expires: Date.now() + 60_000 }, "any");
    await backend.close();

    fs.mkdirSync(join(path, "dd"));
    fs.symlinkSync(path, join(root, "short"));
    const short = join(root, "short", "dd");
    // The one that it leads to is told: of the link it would not be true.
    expect(refusals(short)).toBe(refused(join(path, "dd"), "its path is 3 bytes too long for the database"));
  });
});

describe("a folder that is made", () => {
  test("at the same moment by another process, too", () => {
    kind = undefined;
    const path = join(root, "above", "both");
    meanwhile = (made) => made === join(root, "above") && fs.mkdirSync(path);
    preparePrivateFolder(path);
    meanwhile = undefined;
    expect(fs.statSync(path).mode & 0o777).toBe(0o700);
  });

  test("is none of git's business; one that is there is left as it is", () => {
    kind = undefined;
    const project = join(root, "project");
    fs.mkdirSync(join(project, "there"), { recursive: true });
    preparePrivateFolder(join(project, "there"));
    expect(fs.readdirSync(join(project, "there"))).toEqual([]);

    preparePrivateFolder(join(project, ".tokens"));
    fs.writeFileSync(join(project, ".tokens", "sessions.db"), "sessions");
    expect(fs.readFileSync(join(project, ".tokens", ".gitignore"), "utf8")).toBe("*\n");
    execFileSync("git", ["init", "--quiet"], { cwd: project });
    expect(execFileSync("git", ["status", "--porcelain", "--untracked-files=all"], { cwd: project }).toString()).toBe(
      "",
    );
  });
});

describe("FUSE, which may be a disk or may be the network,", () => {
  const openOn = async (type: number) => {
    kind = type;
    const warnings: string[] = [];
    const path = join(root, `fuse-${type}`);
    const backend = new LocalBackend({ path }, { now: Date.now, timeout: 60_000, warn: (text) => warnings.push(text) });
    await backend.open();
    fs.rmSync(path, { recursive: true });
    await backend.write("key", { value: "", version: "v", expires: 9e15 }, "any");
    await backend.close();
    return warnings.filter((warning) => !warning.includes("its sessions are over"));
  };

  test("is warned of, once", async () => {
    expect(await openOn(0x65735546)).toEqual([
      "The folder of the sessions is on FUSE, as the shared folders of Docker Desktop and of virtual machines are, sshfs and their like. Many of those damage the database as soon as two processes use it. Name a folder on a disk in tokenizer.path, or a volume of the container.",
    ]);
  });

  test("and a disk is not", async () => {
    expect(await openOn(0xef53)).toEqual([]);
  });
});

describe("a disk of this machine is not", () => {
  test.each([
    ["ext4", 0xef53],
    ["xfs", 0x58465342],
    ["btrfs", 0x9123683e],
    ["tmpfs", 0x01021994],
    ["overlayfs", 0x794c7630],
    ["zfs", 0x2fc12fc1],
    ["the one that is really here", undefined],
  ])("%s", (_, type) => {
    kind = type;
    preparePrivateFolder(join(root, `local-${type}`));
    expect(fs.statSync(join(root, `local-${type}`)).mode & 0o777).toBe(0o700);
  });
});
