import * as fs from "node:fs";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, jest, test } from "@jest/globals";

// The kind of a file system is the kernel's word; here it is put into its mouth, and everything else is real.
let kind: number | undefined;
jest.unstable_mockModule("node:fs", () => ({
  ...fs,
  statfsSync: (path: string) => ({ ...fs.statfsSync(path), ...(kind !== undefined && { type: kind }) }),
}));
const { preparePrivateFolder } = await import("../../../lib/backends/local/folder.js");
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
  ])("%s (%i)", (name, type) => {
    kind = type;
    const path = join(root, `network-${type}`);
    let error: unknown;
    try {
      preparePrivateFolder(path, []);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(TokenizerError);
    expect(error).toMatchObject({
      code: "STORE_UNUSABLE",
      status: 503,
      message: `The folder ${path} cannot keep sessions: it is on a network file system (${name}), which the database does not survive. Name a folder below it, or another one, in tokenizer.path.`,
    });
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
    preparePrivateFolder(join(root, `local-${type}`), []);
    expect(fs.statSync(join(root, `local-${type}`)).mode & 0o777).toBe(0o700);
  });
});
