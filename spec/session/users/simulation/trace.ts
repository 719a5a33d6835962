/** What happened in a schedule, step by step, with short names in place of random ones. */
import type { StoredRecord } from "../../../../lib/backends/backend.js";
import { inspectHead } from "../../../../lib/session/record.js";
import { decodeUser } from "../../../../lib/session/users/user-record.js";
import { USER_PREFIX, userKey } from "../../../../lib/session-id.js";
import type { Call } from "./process.js";
import { MINUTE } from "./scenarios.js";
import { USERS } from "./task.js";

const BEGINNING = 1_800_000_000_000;

export class Trace {
  readonly lines: string[] = [];
  readonly #names = new Map<string, string>(USERS.map((user) => [userKey(user), `user ${user}`]));
  readonly #counts = new Map<string, number>();

  add(step: number, line: (trace: Trace) => string): void {
    this.lines.push(`${String(step).padStart(4)} ${line(this)}`);
  }

  /** Of a key, a handle, a version, or the name of a record. */
  nameOf(id: string, kind = "session "): string {
    const name = this.#names.get(id) ?? `${kind}${this.#count(kind)}`;
    this.#names.set(id, name);
    return name;
  }

  called({ op, key, record, expires }: Call, ...answers: readonly unknown[]): string {
    const names = key.split(",").map((one) => this.nameOf(one));
    const told = [op, names.join(", "), record && this.#textOf(key, record), expires && endOf(expires)];
    const found = answers.map((answer) => `→ ${this.#answerOf(key, answer)}`);
    return [...told, ...found].filter((part) => part !== undefined).join(" ");
  }

  #answerOf(key: string, answer: unknown): string {
    if (typeof answer === "object" && answer !== null && "version" in answer)
      return this.#textOf(key, answer as StoredRecord);
    return Array.isArray(answer) ? `${answer.length} records` : String(answer);
  }

  #textOf(key: string, record: StoredRecord): string {
    const text = key.startsWith(USER_PREFIX) ? this.#userText(record) : this.#sessionText(record);
    return `${this.nameOf(record.version, "v")} {${text}} ${endOf(record.expires)}`;
  }

  #userText(record: StoredRecord): string {
    const { name, endings, handles } = decodeUser(record);
    const listed = handles.map(({ id, by, ending, missing }) =>
      [this.nameOf(id, "h"), by, ending && "ending", missing && "missing"].filter(Boolean).join(" "),
    );
    return `${this.nameOf(name, "n")}, ${endings} endings: ${listed.join(", ")}`;
  }

  #sessionText({ value }: StoredRecord): string {
    const { signIn, maxAge } = inspectHead(value) ?? {};
    const life = maxAge === undefined ? "" : `, maxAge ${maxAge / MINUTE} min`;
    if (!signIn) return `nobody${life}`;
    const { user, handle, by, name, endings } = signIn;
    return `${user} ${this.nameOf(handle, "h")} ${by}, ${this.nameOf(name, "n")}, ${endings} endings${life}`;
  }

  #count(kind: string): number {
    const count = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, count);
    return count;
  }
}

function endOf(expires: number): string {
  return `until ${((expires - BEGINNING) / MINUTE).toFixed(1)} min`;
}
