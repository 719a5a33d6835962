/** The demo's side of the notes service: every call is made as the user, with the user's own name and password. */

import type { Note } from "./upstream.js";

export interface Login {
  readonly username: string;
  readonly password: string;
}

export interface NotesClient {
  list(login: Login): Promise<readonly Note[]>;
  /** Adding again under the same id changes nothing more, so a caller that got no answer may try again. */
  add(login: Login, note: Pick<Note, "id" | "text">): Promise<void>;
}

/** The service does not accept this name and password. */
export class LoginRefused extends Error {
  override readonly name = "LoginRefused";
}

/** The service did not answer, or not sensibly. Whether an addition arrived is not known. */
export class ServiceUnreachable extends Error {
  override readonly name = "ServiceUnreachable";
}

const PATIENCE = 3000; // milliseconds

export function notesClient(base: URL): NotesClient {
  return {
    async list(login) {
      const response = await send(new URL("notes", base), login, { method: "GET" });
      const answer = (await bodyOf(response)) as { notes: readonly Note[] };
      return answer.notes;
    },
    async add(login, { id, text }) {
      const headers = { "Content-Type": "application/json" };
      await send(new URL(`notes/${id}`, base), login, { method: "PUT", headers, body: JSON.stringify({ text }) });
    },
  };
}

async function send(url: URL, login: Login, init: RequestInit): Promise<Response> {
  const headers = { ...init.headers, Authorization: basic(login) };
  const signal = AbortSignal.timeout(PATIENCE);
  const response = await fetch(url, { ...init, headers, signal, redirect: "error" }).catch((cause: unknown) => {
    throw new ServiceUnreachable("the notes service did not answer", { cause });
  });
  if (response.status === 401) throw new LoginRefused("the notes service refused the name and password");
  if (!response.ok) throw new ServiceUnreachable(`the notes service answered ${response.status}`);
  return response;
}

async function bodyOf(response: Response): Promise<unknown> {
  return response.json().catch((cause: unknown) => {
    throw new ServiceUnreachable("the notes service broke off its answer", { cause });
  });
}

function basic({ username, password }: Login): string {
  // With a colon in the name, the service would read another name and another password out of the same text:
  // the session would say "a:b" while the service was asked about "a".
  if (username.includes(":")) throw new LoginRefused("a user name of HTTP Basic has no colon");
  return `Basic ${Buffer.from(`${username}:${password}`, "utf8").toString("base64")}`;
}
