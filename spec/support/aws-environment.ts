/** Nothing of the machine's own AWS configuration, and files in its place. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atTheEnd } from "./dynamodb-server.js";

/** For `beforeEach`. The files are new ones for each spec. Answers the folder, which is the home folder, too. */
export function isolateAws(): string {
  const folder = mkdtempSync(join(tmpdir(), "express-tokenizer-aws-"));
  atTheEnd(() => rmSync(folder, { recursive: true, force: true }));
  for (const name of Object.keys(process.env)) if (name.startsWith("AWS_")) delete process.env[name];
  Object.assign(process.env, {
    HOME: folder,
    AWS_CONFIG_FILE: join(folder, "config"),
    AWS_SHARED_CREDENTIALS_FILE: join(folder, "credentials"),
    AWS_EC2_METADATA_DISABLED: "true",
  });
  return folder;
}

/** Writes the AWS configuration files. */
export function configureAws({ config = "", credentials = "" }): void {
  writeFileSync(process.env.AWS_CONFIG_FILE as string, config);
  writeFileSync(process.env.AWS_SHARED_CREDENTIALS_FILE as string, credentials);
}

export interface KeyServer {
  readonly url: string;
  /** Whose keys are given. */
  id: string;
  /** How many times it was asked. */
  asked: number;
}

/** Gives keys to whoever asks, as the agent of a container does; `slow`: only when the specs are over. */
export async function startKeyServer(id: string, { slow = false } = {}): Promise<KeyServer> {
  const Expiration = new Date(Date.now() + 3_600_000).toISOString();
  const server = createServer((_req, res) => {
    keys.asked++;
    const text = JSON.stringify({ AccessKeyId: keys.id, SecretAccessKey: "container", Token: "token", Expiration });
    if (slow) atTheEnd(() => res.end(text));
    else res.end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  atTheEnd(() => new Promise((resolve) => server.close(resolve)));
  const keys = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, id, asked: 0 };
  return keys;
}
