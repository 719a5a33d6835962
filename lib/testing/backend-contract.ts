/**
 * The backend contract as a table of named cases, for the tests of whoever writes a backend. It is published as
 * `express-tokenizer/backend-contract`, and belongs to no test runner: `test` is that of node:test, jest or vitest.
 */
import assert from "node:assert/strict";
import type { Awaitable } from "../awaitable.js";
import type { Backend, BackendContext, Expected, StoredRecord } from "../backends/backend.js";
import { TokenizerError } from "../errors.js";

export type { Backend, BackendContext, BackendFactory, Entry, Expected, StoredRecord } from "../backends/backend.js";

/** Two backends over one place that is empty and that nothing else uses. The cases open and close both. */
export interface ContractSubject {
  /** The backend that a case is about. */
  readonly backend: Backend;
  /** Another one over the same place, as another process would have it. */
  readonly other: Backend;
  /** How coarsely the backend keeps `expires`, in milliseconds: 1000 for an engine that counts seconds. Default 1. */
  readonly expiryGranularity?: number | undefined;
  /** Lets go of everything else. Called once at the end of a case, also of one that failed, which waits for it. */
  dispose?(): unknown;
}

/**
 * Makes the two backends for one case; called anew for each, it answers at once or by promise. Both must take the time from
 * `now` of the `context`, which the cases move: what has expired by that time is absent, even where the engine itself still
 * has it. An engine that expires records by its own clock never drops one too early: the times of the cases are around the
 * present or after it. It may drop those in the past at once.
 *
 * @param context the clock of the case, 10 seconds for a call, and warnings that go to the console
 */
export type MakeSubject = (context: BackendContext) => ContractSubject | Promise<ContractSubject>;

/** One sentence of the contract, or a part of one. */
export interface ContractCase {
  /** What it demands; no two cases have the same. */
  readonly name: string;
  /** Runs the case on what `make` answers. Resolves if the backend is right; else rejects with an assertion that says why. */
  run(make: MakeSubject): Promise<void>;
}

/** More than one page of any backend, and no whole number of pages. */
const MANY = 613;
const WRITERS = 20;
const MINUTE = 60_000;
/** What one call may take in a case, in milliseconds: machines that test are busy. */
const TIMEOUT = 10_000;
/** The last moment that a Date can hold. */
const END_OF_TIME = 8.64e15;

const KEY = "session:kF3vXzVb1oE0YQxk1v2J0r7j8mKp3sT9uW5yZ-A_bCd";
const OTHER_KEY = "session:LkF3vXzVb1oE0YQxk1v2J0r7j8mKp3sT9uW5yZ-A_bC";

interface Stage extends ContractSubject {
  readonly expiryGranularity: number;
  /** A record with a version of its own that ends in ten minutes. */
  record(part?: Partial<StoredRecord>): StoredRecord;
  /** A moment so many minutes from the present of the clock. */
  inMinutes(minutes: number): number;
  pass(minutes: number): void;
  /** Writes and insists on it. */
  put(key: string, part?: Partial<StoredRecord>): Promise<StoredRecord>;
}

type Play = (stage: Stage) => Promise<void>;

function contractCase(name: string, play: Play): ContractCase {
  return { name, run: (make) => onStage(make, play) };
}

async function onStage(make: MakeSubject, play: Play): Promise<void> {
  // A whole second, so that no granularity moves a time of a case over another.
  let time = Math.ceil(Date.now() / 1000) * 1000;
  let versions = 0;
  const warn = (message: string) => console.warn(message);
  const subject = await make({ now: () => time, timeout: TIMEOUT, warn });
  const { expiryGranularity = 1 } = subject;
  const inMinutes = (minutes: number) => time + minutes * MINUTE;
  const record = (part: Partial<StoredRecord> = {}) => {
    versions += 1;
    return { value: `value ${versions}`, version: `version-${versions}`, expires: inMinutes(10), ...part };
  };
  const put = async (key: string, part?: Partial<StoredRecord>) => {
    const written = record(part);
    assert.equal(await subject.backend.write(key, written, "any"), true, "a write that expects anything answers true");
    return written;
  };
  const pass = (minutes: number) => {
    time += minutes * MINUTE;
  };
  try {
    await subject.backend.open();
    await subject.other.open();
    await play({ ...subject, expiryGranularity, record, inMinutes, pass, put });
  } finally {
    await subject.backend.close();
    await subject.other.close();
    await subject.dispose?.();
  }
}

/** The record is there, as it was written. */
async function assertStored({ backend, expiryGranularity }: Stage, key: string, expected: StoredRecord): Promise<void> {
  const found = await backend.read(key);
  assert.ok(found, "a live record is read");
  assertSame(found, expected, expiryGranularity);
}

function assertSame(found: StoredRecord, expected: StoredRecord, granularity: number): void {
  // Not deepEqual on the whole: an engine's row may have no prototype, and long values make unreadable messages.
  assert.equal(typeof found.value, "string", "a value is read as text");
  assert.ok(
    found.value === expected.value,
    `value read back: ${brief(found.value)}, written: ${brief(expected.value)}`,
  );
  assert.equal(found.version, expected.version, "the version is read as it was written");
  const drift = Math.abs(found.expires - expected.expires);
  assert.ok(drift < granularity || drift === 0, `expires read back: ${found.expires}, written: ${expected.expires}`);
}

async function assertAbsent({ backend }: Stage, key: string, why: string): Promise<void> {
  assert.equal(await backend.read(key), undefined, why);
}

async function collect({ backend }: Stage): Promise<Map<string, StoredRecord>> {
  const found = new Map<string, StoredRecord>();
  for await (const { key, ...record } of backend.entries()) {
    assert.ok(!found.has(key), `entries answers ${key} once`);
    found.set(key, record);
  }
  return found;
}

const brief = (text: string) => `${JSON.stringify(text.slice(0, 40))} (${text.length} characters)`;

/** What JSON text and its sealed form can hold; JSON escapes NUL and lone surrogates. */
const VALUES: ReadonlyArray<readonly [name: string, value: string]> = [
  ["nothing", ""],
  ["spaces at both ends", "  a b \t "],
  ["quotes and backslashes", `it's "so" \\ \`\${x}\` -- ; %s ?1 :a @b`],
  ["newlines of all kinds", "a\nb\r\nc\rd\u2028e\u2029f\n"],
  ["emoji and other scripts", "🔑👩‍👩‍👧 ñ ß 漢字 עברית"],
  ["composed and decomposed accents", "\u00e9 e\u0301"],
  ["a byte order mark", "\ufeffa\ufeff"],
  ["what looks like a number", "0123"],
  ["what looks like null", "null"],
  ["escaped NUL and lone surrogates", JSON.stringify({ text: "a\0b\ud800c\udfff" })],
  ["100 KB", "0123456789".repeat(10_240)],
  ["100 KB of three-byte characters", "漢".repeat(34_000)],
];

const KEYS: readonly string[] = [
  KEY,
  KEY.toLowerCase(),
  "session:",
  "session:-_",
  "user:-_-_",
  "user:AbC",
  "user:abc",
  "user:__proto__",
  "__proto__",
  "constructor",
  "health",
];

/** Every method, as an application may call it; `version` is that of the record under `KEY`. */
const CALLS: ReadonlyArray<readonly [name: string, call: (backend: Backend, version: string) => unknown]> = [
  ["open", (backend) => backend.open()],
  ["read", (backend) => backend.read(KEY)],
  ["write", (backend) => backend.write(KEY, { value: "", version: "late", expires: END_OF_TIME }, "any")],
  ["touch", (backend, version) => backend.touch(KEY, END_OF_TIME, version)],
  ["remove", (backend) => backend.remove(KEY)],
  ["entries", (backend) => firstOf(backend.entries())],
  ["prune", (backend) => backend.prune()],
];

function isClosed(error: unknown): true {
  assert.ok(error instanceof TokenizerError, `a TokenizerError, not ${error}`);
  assert.equal(error.code, "STORE_CLOSED", "the error's code");
  assert.equal(error.status, 503, "the error's status");
  assert.ok(error.message.length > 0, "the error's message");
  return true;
}

/** Begins `first` before `second`, and answers the other way round. */
async function inReverse<T>(first: () => Awaitable<T>, second: () => Awaitable<T>): Promise<[second: T, first: T]> {
  const [one, other] = await Promise.all([first(), second()]);
  return [other, one];
}

async function firstOf(entries: AsyncIterable<unknown>): Promise<unknown> {
  for await (const entry of entries) return entry;
  return undefined;
}

const reading: readonly ContractCase[] = [
  contractCase("read: what was never written is absent", async (stage) => {
    await stage.put(OTHER_KEY);
    await assertAbsent(stage, KEY, "only what was written is there");
  }),
  contractCase("read: what was written is answered whole, to both connections", async (stage) => {
    const written = await stage.put(KEY);
    await assertStored(stage, KEY, written);
    await assertStored({ ...stage, backend: stage.other }, KEY, written);
  }),
  contractCase("read: an expired record is absent, before prune and after it", async (stage) => {
    await stage.put(KEY);
    stage.pass(11);
    await assertAbsent(stage, KEY, "expired, not yet pruned");
    await stage.backend.prune();
    await assertAbsent(stage, KEY, "expired and pruned");
  }),
  contractCase("read: a record lives until its moment and not in it", async (stage) => {
    await stage.put(KEY, { expires: stage.inMinutes(10) });
    stage.pass(10 - stage.expiryGranularity / MINUTE);
    assert.ok(await stage.backend.read(KEY), "alive until then");
    stage.pass(stage.expiryGranularity / MINUTE);
    await assertAbsent(stage, KEY, "at its moment it has expired");
  }),
  contractCase("read: a clock put back brings back nothing that was pruned", async (stage) => {
    await stage.put(KEY);
    stage.pass(11);
    await stage.backend.prune();
    stage.pass(-11);
    const found = await stage.backend.read(KEY);
    // An engine that expires by its own clock has pruned nothing yet.
    if (found) assert.ok(found.expires <= stage.inMinutes(10), "nothing has extended its end");
  }),
  ...VALUES.map(([name, value]) =>
    contractCase(`read: a value is kept to the letter: ${name}`, async (stage) => {
      await assertStored(stage, KEY, await stage.put(KEY, { value }));
    }),
  ),
  contractCase("read: keys differ by every character, and none is special", async (stage) => {
    for (const key of KEYS) await assertAbsent(stage, key, `nothing under ${key} yet`);
    const written = new Map<string, StoredRecord>();
    for (const key of KEYS) written.set(key, await stage.put(key, { value: `value of ${key}` }));
    for (const [key, record] of written) await assertStored(stage, key, record);
    assert.deepEqual([...(await collect(stage)).keys()].sort(), [...KEYS].sort(), "entries answers the same keys");
    for (const key of KEYS) assert.equal(await stage.backend.remove(key), true, `${key} is removed`);
    for (const key of KEYS) await assertAbsent(stage, key, `${key} is gone`);
  }),
  contractCase("read: times beyond 2038, up to the last that a Date can hold", async (stage) => {
    // Whole seconds, which every granularity keeps.
    for (const expires of [2 ** 31 * 1000, 2 ** 32 * 1000, Date.UTC(9999, 0), END_OF_TIME]) {
      await assertStored(stage, KEY, await stage.put(KEY, { expires }));
      const { version } = await stage.put(KEY, { expires: expires - MINUTE });
      assert.equal(await stage.backend.touch(KEY, expires, version), true, `touched to ${expires}`);
      const found = await stage.backend.read(KEY);
      assert.equal(found?.expires, expires, `the end after a touch to ${expires}`);
    }
    stage.pass(100 * 365 * 24 * 60);
    assert.ok(await stage.backend.read(KEY), "a hundred years later it is still there");
  }),
];

const writing: readonly ContractCase[] = [
  contractCase("write any: over nothing, over a live record, over an expired one", async (stage) => {
    await assertStored(stage, KEY, await stage.put(KEY));
    await assertStored(stage, KEY, await stage.put(KEY));
    stage.pass(11);
    await assertStored(stage, KEY, await stage.put(KEY));
  }),
  contractCase("write absent: true over nothing", async (stage) => {
    const written = stage.record();
    assert.equal(await stage.backend.write(KEY, written, "absent"), true, "nothing was there");
    await assertStored(stage, KEY, written);
  }),
  contractCase("write absent: false over a live record, which stays", async (stage) => {
    const first = await stage.put(KEY);
    assert.equal(await stage.backend.write(KEY, stage.record(), "absent"), false, "a record was there");
    await assertStored(stage, KEY, first);
  }),
  contractCase("write absent: true over an expired record", async (stage) => {
    await stage.put(KEY);
    stage.pass(11);
    const written = stage.record();
    assert.equal(await stage.backend.write(KEY, written, "absent"), true, "an expired record counts as none");
    await assertStored(stage, KEY, written);
  }),
  contractCase("write absent: true after a removal", async (stage) => {
    await stage.put(KEY);
    await stage.backend.remove(KEY);
    const written = stage.record();
    assert.equal(await stage.backend.write(KEY, written, "absent"), true, "it was removed");
    await assertStored(stage, KEY, written);
  }),
  contractCase("write version: true over that version, from the other connection, too", async (stage) => {
    const first = await stage.put(KEY);
    const second = stage.record();
    assert.equal(await stage.backend.write(KEY, second, { version: first.version }), true, "that version was there");
    await assertStored(stage, KEY, second);
    const third = stage.record();
    assert.equal(await stage.other.write(KEY, third, { version: second.version }), true, "from the other connection");
    await assertStored(stage, KEY, third);
  }),
  contractCase("write version: false over another version, which stays", async (stage) => {
    const first = await stage.put(KEY);
    const second = await stage.put(KEY);
    const late = stage.record();
    assert.equal(await stage.backend.write(KEY, late, { version: first.version }), false, "it had moved on");
    await assertStored(stage, KEY, second);
    assert.equal(await stage.other.write(KEY, late, { version: first.version }), false, "the other connection sees it");
    await assertStored(stage, KEY, second);
  }),
  contractCase("write version: false over nothing, and nothing is created", async (stage) => {
    assert.equal(await stage.backend.write(KEY, stage.record(), { version: "version-0" }), false, "nothing was there");
    await assertAbsent(stage, KEY, "a refused write creates nothing");
  }),
  contractCase("write version: false after a removal, and nothing is created", async (stage) => {
    const { version } = await stage.put(KEY);
    await stage.other.remove(KEY);
    assert.equal(await stage.backend.write(KEY, stage.record(), { version }), false, "removed stays removed");
    await assertAbsent(stage, KEY, "a refused write creates nothing");
  }),
  contractCase("write version: false over an expired record, before prune and after it", async (stage) => {
    const { version } = await stage.put(KEY);
    stage.pass(11);
    assert.equal(await stage.backend.write(KEY, stage.record(), { version }), false, "it has no version any more");
    await assertAbsent(stage, KEY, "a refused write revives nothing");
    await stage.backend.prune();
    assert.equal(await stage.backend.write(KEY, stage.record(), { version }), false, "pruned");
    await assertAbsent(stage, KEY, "a refused write creates nothing");
  }),
  contractCase("write version: versions compare to the letter", async (stage) => {
    await stage.put(KEY, { version: "Ab" });
    for (const version of ["ab", "AB", "A", "Abc", "Ab ", ""]) {
      assert.equal(await stage.backend.write(KEY, stage.record(), { version }), false, `"Ab" is not "${version}"`);
    }
    assert.equal(await stage.backend.write(KEY, stage.record(), { version: "Ab" }), true, '"Ab" is "Ab"');
  }),
  contractCase("write: a retry under the version of the first try changes nothing more", async (stage) => {
    const first = await stage.put(KEY);
    const second = stage.record();
    assert.equal(await stage.backend.write(KEY, second, { version: first.version }), true, "the first try");
    // Either answer is right; what it must not do is write another record, or lose this one.
    await stage.backend.write(KEY, second, { version: first.version });
    await assertStored(stage, KEY, second);
    assert.equal(await stage.backend.write(KEY, second, { version: second.version }), true, "a version may be kept");
    await assertStored(stage, KEY, second);
  }),
  contractCase("write: an end in the past is written, and absent", async (stage) => {
    await stage.put(KEY);
    const past = stage.record({ expires: stage.inMinutes(-1) });
    assert.equal(await stage.backend.write(KEY, past, "any"), true, "it is written over what was there");
    await assertAbsent(stage, KEY, "and has expired");
    assert.equal(await stage.backend.write(KEY, past, { version: past.version }), false, "it has no version");
    assert.equal(await stage.backend.write(KEY, past, "absent"), true, "it counts as none");
    await assertAbsent(stage, KEY, "and has expired, again");
    assert.equal((await collect(stage)).size, 0, "entries does not answer it");
  }),
  ...(["absent", "version"] as const).flatMap((kind) =>
    ["one connection", "two connections"].map((from) =>
      contractCase(`write ${kind}: of ${WRITERS} at once from ${from}, exactly one is written`, async (stage) => {
        for (let round = 0; round < 5; round += 1) {
          const key = `${KEY}${round}`;
          const expected: Expected = kind === "absent" ? "absent" : { version: (await stage.put(key)).version };
          const records = Array.from({ length: WRITERS }, () => stage.record());
          const answers = await Promise.all(
            records.map((record, index) => {
              const backend = from === "two connections" && index % 2 === 1 ? stage.other : stage.backend;
              return backend.write(key, record, expected);
            }),
          );
          assert.equal(answers.filter(Boolean).length, 1, "exactly one answers true");
          await assertStored(stage, key, records[answers.indexOf(true)] as StoredRecord);
        }
      }),
    ),
  ),
  contractCase("write version: two connections count to 40 between them, and lose nothing", async (stage) => {
    await stage.put(KEY, { value: "0" });
    const count = async (backend: Backend) => {
      for (let done = 0, tries = 0; done < 20; tries += 1) {
        assert.ok(tries < 1000, "one of two writers gets on at every turn");
        const current = (await backend.read(KEY)) as StoredRecord;
        const next = stage.record({ value: String(Number(current.value) + 1) });
        if (await backend.write(KEY, next, { version: current.version })) done += 1;
      }
    };
    await Promise.all([count(stage.backend), count(stage.other)]);
    assert.equal((await stage.backend.read(KEY))?.value, "40", "every increment is there");
  }),
];

const touching: readonly ContractCase[] = [
  contractCase("touch: moves the end of a live record and nothing else", async (stage) => {
    const written = await stage.put(KEY);
    const beside = await stage.put(OTHER_KEY);
    const later = stage.inMinutes(30);
    assert.equal(await stage.backend.touch(KEY, later, written.version), true, "it was there");
    await assertStored(stage, KEY, { ...written, expires: later });
    await assertStored(stage, OTHER_KEY, beside);
    stage.pass(20);
    await assertStored(stage, KEY, { ...written, expires: later });
    await assertAbsent(stage, OTHER_KEY, "the other one was not touched");
  }),
  contractCase("touch: moves the end from the other connection, too", async (stage) => {
    const written = await stage.put(KEY);
    for (const [index, backend] of [stage.other, stage.backend, stage.other].entries()) {
      const expires = stage.inMinutes(20 + index);
      assert.equal(await backend.touch(KEY, expires, written.version), true, "it was there");
      await assertStored(stage, KEY, { ...written, expires });
      await assertStored({ ...stage, backend: stage.other }, KEY, { ...written, expires });
    }
  }),
  contractCase("touch: never brings the end nearer, nor into the past", async (stage) => {
    const written = await stage.put(KEY);
    for (const minutes of [5, 0, -1]) {
      const nearer = stage.inMinutes(minutes);
      assert.equal(await stage.backend.touch(KEY, nearer, written.version), true, "it was there, though not moved");
      await assertStored(stage, KEY, written);
    }
    stage.pass(6);
    await stage.backend.prune();
    await assertStored(stage, KEY, written);
    stage.pass(4);
    await assertAbsent(stage, KEY, "it ends when it would have without");
  }),
  contractCase("touch: true where the end is there already", async (stage) => {
    const written = await stage.put(KEY);
    assert.equal(await stage.backend.touch(KEY, written.expires, written.version), true, "the end that it has");
    await assertStored(stage, KEY, written);
  }),
  contractCase("touch: one that comes late, after one that moved the end further, changes nothing", async (stage) => {
    const written = await stage.put(KEY);
    const [late, furthest] = [stage.inMinutes(20), stage.inMinutes(30)];
    assert.equal(await stage.other.touch(KEY, furthest, written.version), true, "the first");
    assert.equal(await stage.backend.touch(KEY, late, written.version), true, "the late one found it there");
    await assertStored(stage, KEY, { ...written, expires: furthest });
    stage.pass(21);
    await assertStored(stage, KEY, { ...written, expires: furthest });
  }),
  contractCase(`touch: of ${WRITERS} at once, the furthest end stands`, async (stage) => {
    for (let round = 0; round < 5; round += 1) {
      const written = await stage.put(KEY);
      const answers = await Promise.all(
        Array.from({ length: WRITERS }, (_, index) => {
          const backend = index % 2 === 1 ? stage.other : stage.backend;
          // The furthest comes neither first nor last.
          return backend.touch(KEY, stage.inMinutes(20 + ((index * 7) % WRITERS)), written.version);
        }),
      );
      assert.deepEqual(answers, Array(WRITERS).fill(true), "all found it there");
      await assertStored(stage, KEY, { ...written, expires: stage.inMinutes(20 + WRITERS - 1) });
    }
  }),
  contractCase("touch: a version read before it still matches after it", async (stage) => {
    const { version } = await stage.put(KEY);
    await stage.backend.touch(KEY, stage.inMinutes(20), version);
    assert.equal(await stage.backend.touch(KEY, stage.inMinutes(30), version), true, "in a second touch");
    assert.equal(await stage.backend.write(KEY, stage.record(), { version }), true, "in a write");
  }),
  contractCase("touch: false on another version, whose end stays", async (stage) => {
    const written = await stage.put(KEY);
    for (const backend of [stage.backend, stage.other]) {
      assert.equal(await backend.touch(KEY, stage.inMinutes(30), "version-0"), false, "that version was not there");
      assert.equal(await backend.touch(KEY, stage.inMinutes(5), "version-0"), false, "nor for a nearer end");
      await assertStored(stage, KEY, written);
    }
    stage.pass(10);
    await assertAbsent(stage, KEY, "it ends when it would have without");
  }),
  contractCase("touch: false on the version before, once a record was written again", async (stage) => {
    const first = await stage.put(KEY);
    const second = stage.record();
    assert.equal(await stage.other.write(KEY, second, { version: first.version }), true, "written again");
    for (const backend of [stage.backend, stage.other]) {
      assert.equal(await backend.touch(KEY, stage.inMinutes(30), first.version), false, "it had moved on");
      await assertStored(stage, KEY, second);
    }
    const later = stage.inMinutes(30);
    assert.equal(await stage.backend.touch(KEY, later, second.version), true, "the version that is there");
    await assertStored(stage, KEY, { ...second, expires: later });
  }),
  contractCase("touch: versions compare to the letter", async (stage) => {
    const written = await stage.put(KEY, { version: "Ab" });
    const later = stage.inMinutes(30);
    for (const version of ["ab", "AB", "A", "Abc", "Ab ", ""]) {
      assert.equal(await stage.backend.touch(KEY, later, version), false, `"Ab" is not "${version}"`);
    }
    await assertStored(stage, KEY, written);
    assert.equal(await stage.backend.touch(KEY, later, "Ab"), true, '"Ab" is "Ab"');
  }),
  contractCase("touch: at once with a write over its version, moves nothing of the new record", async (stage) => {
    for (let round = 0; round < 10; round += 1) {
      const key = `${KEY}${round}`;
      const { version } = await stage.put(key);
      const next = stage.record();
      const touch = () => stage.other.touch(key, stage.inMinutes(30), version);
      const write = () => stage.backend.write(key, next, { version });
      const [isWritten] = await (round % 2 === 0 ? Promise.all([write(), touch()]) : inReverse(touch, write));
      assert.equal(isWritten, true, "a touch refuses no write");
      await assertStored(stage, key, next);
    }
  }),
  contractCase("touch: at once with a removal, brings nothing back", async (stage) => {
    for (let round = 0; round < 10; round += 1) {
      const key = `${KEY}${round}`;
      const { version } = await stage.put(key);
      const touch = () => stage.other.touch(key, stage.inMinutes(30), version);
      const remove = () => stage.backend.remove(key);
      const [wasThere] = await (round % 2 === 0 ? Promise.all([remove(), touch()]) : inReverse(touch, remove));
      assert.equal(wasThere, true, "a touch hides no record from a removal");
      await assertAbsent(stage, key, "removed stays removed");
    }
  }),
  contractCase("touch: never creates", async (stage) => {
    assert.equal(await stage.backend.touch(KEY, stage.inMinutes(30), "version-0"), false, "nothing was there");
    await assertAbsent(stage, KEY, "nothing is created");
    assert.equal((await collect(stage)).size, 0, "entries answers nothing");
    const { version } = stage.record();
    assert.equal(await stage.backend.write(KEY, stage.record({ version }), "absent"), true, "it is still absent");
    await stage.backend.remove(KEY);
    assert.equal(await stage.backend.touch(KEY, stage.inMinutes(30), version), false, "it was removed");
    await assertAbsent(stage, KEY, "removed stays removed");
  }),
  contractCase("touch: false on an expired record, which stays so", async (stage) => {
    const { version } = await stage.put(KEY);
    stage.pass(11);
    assert.equal(await stage.backend.touch(KEY, stage.inMinutes(30), version), false, "it had expired");
    assert.equal(await stage.backend.touch(KEY, stage.inMinutes(-5), version), false, "nor for an end in the past");
    await assertAbsent(stage, KEY, "a touch revives nothing");
  }),
];

const ending: readonly ContractCase[] = [
  contractCase("remove: true when it was there, and then it is gone for both connections", async (stage) => {
    const written = await stage.put(KEY);
    const beside = await stage.put(OTHER_KEY);
    // Read by both before, so that nothing remembered is answered after.
    await assertStored(stage, KEY, written);
    await assertStored({ ...stage, backend: stage.other }, KEY, written);
    assert.equal(await stage.backend.remove(KEY), true, "it was there");
    await assertAbsent(stage, KEY, "it is gone");
    await assertAbsent({ ...stage, backend: stage.other }, KEY, "it is gone for the other connection");
    await assertStored(stage, OTHER_KEY, beside);
  }),
  contractCase("remove: false when there was nothing, or nothing any more", async (stage) => {
    assert.equal(await stage.backend.remove(KEY), false, "nothing was there");
    await stage.put(KEY);
    await stage.backend.remove(KEY);
    assert.equal(await stage.backend.remove(KEY), false, "it was removed before");
  }),
  contractCase("remove: false on an expired record", async (stage) => {
    await stage.put(KEY);
    stage.pass(11);
    assert.equal(await stage.backend.remove(KEY), false, "it had expired");
    await assertAbsent(stage, KEY, "and stays absent");
  }),
];

const keeping: readonly ContractCase[] = [
  contractCase("entries: nothing of an empty place", async (stage) => {
    assert.equal((await collect(stage)).size, 0, "there is nothing");
  }),
  contractCase(`entries: all of ${MANY} records, each once and whole`, async (stage) => {
    const written = new Map<string, StoredRecord>();
    for (let index = 0; index < MANY; index += 1) {
      const key = `${index % 3 === 0 ? "user" : "session"}:${index}`;
      written.set(key, await stage.put(key));
    }
    const found = await collect(stage);
    assert.equal(found.size, MANY, "as many as were written");
    for (const [key, record] of written) {
      assertSame(found.get(key) ?? assert.fail(`${key} is missing`), record, stage.expiryGranularity);
    }
  }),
  contractCase("entries: no expired record, even a whole page of them", async (stage) => {
    const living: string[] = [];
    for (let index = 0; index < MANY; index += 1) {
      const isLiving = index % 100 === 99;
      await stage.put(`session:${index}`, { expires: stage.inMinutes(isLiving ? 30 : 10) });
      if (isLiving) living.push(`session:${index}`);
    }
    stage.pass(11);
    assert.deepEqual([...(await collect(stage)).keys()].sort(), living.sort(), "only those that live");
  }),
  contractCase("entries: removing what it answers, as it goes, misses nothing", async (stage) => {
    for (let index = 0; index < MANY; index += 1) await stage.put(`session:${index}`);
    for await (const { key } of stage.backend.entries()) await stage.backend.remove(key);
    assert.equal((await collect(stage)).size, 0, "all were answered, and so removed");
  }),
  contractCase("entries: may be left early, and asked again", async (stage) => {
    for (let index = 0; index < MANY; index += 1) await stage.put(`session:${index}`);
    assert.ok(await firstOf(stage.backend.entries()), "there is a first");
    assert.equal((await collect(stage)).size, MANY, "all are answered the next time");
  }),
  contractCase("prune: drops what has expired, and never what lives", async (stage) => {
    const expired = 123;
    for (let index = 0; index < expired; index += 1) await stage.put(`session:expired-${index}`);
    const living = new Map<string, StoredRecord>();
    for (let index = 0; index < 50; index += 1) {
      living.set(`session:${index}`, await stage.put(`session:${index}`, { expires: stage.inMinutes(30) }));
    }
    // What ends in this very moment has expired, so one side of the border each.
    await stage.put("session:border", { expires: stage.inMinutes(11) });
    living.set("session:next", await stage.put("session:next", { expires: stage.inMinutes(11) + 1000 }));
    stage.pass(11);
    const dropped = await stage.backend.prune();
    // 0 where the engine expires records by itself.
    assert.ok(dropped === expired + 1 || dropped === 0, `answers how many it dropped: ${dropped} of ${expired + 1}`);
    for (const [key, record] of living) await assertStored(stage, key, record);
    assert.equal(await stage.backend.prune(), 0, "the second time there is nothing to drop");
    assert.equal((await collect(stage)).size, living.size, "all that live are still there");
  }),
  contractCase("prune: spares a record that was touched or written again", async (stage) => {
    const touched = await stage.put(KEY);
    await stage.put(OTHER_KEY);
    await stage.backend.touch(KEY, stage.inMinutes(30), touched.version);
    const rewritten = await stage.put(OTHER_KEY, { expires: stage.inMinutes(30) });
    const end = stage.inMinutes(30);
    stage.pass(11);
    assert.equal(await stage.backend.prune(), 0, "nothing has expired");
    await assertStored(stage, KEY, { ...touched, expires: end });
    await assertStored(stage, OTHER_KEY, rewritten);
  }),
  contractCase("prune: goes by a record's last end, which comes sooner only by a write", async (stage) => {
    const ends = { sooner: stage.inMinutes(2), later: stage.inMinutes(20) };
    for (const [name, expires] of Object.entries(ends)) {
      const touched = await stage.put(`session:touched-${name}`);
      await stage.backend.touch(`session:touched-${name}`, expires, touched.version);
      const { version } = await stage.put(`session:rewritten-${name}`);
      await stage.backend.write(`session:rewritten-${name}`, stage.record({ expires }), { version });
    }
    const dropped: number[] = [];
    for (const minutes of [3, 10, 10]) {
      stage.pass(minutes);
      dropped.push(await stage.backend.prune());
    }
    // 0 where the engine expires records by itself.
    assert.ok(
      ["1,1,2", "0,0,0"].includes(dropped.join()),
      `dropped ${dropped}: the one written to end sooner, then the one that was only touched, then two later`,
    );
  }),
];

const closing: readonly ContractCase[] = [
  ...CALLS.map(([name, call]) =>
    contractCase(`close: a later ${name} throws STORE_CLOSED`, async (stage) => {
      const written = await stage.put(KEY);
      await stage.backend.close();
      await assert.rejects(async () => call(stage.backend, written.version), isClosed);
      await assertStored({ ...stage, backend: stage.other }, KEY, written);
    }),
  ),
  contractCase("close: twice is once, and at once, too", async (stage) => {
    await Promise.all([stage.backend.close(), stage.backend.close()]);
    await stage.backend.close();
    await assert.rejects(Promise.resolve(stage.backend.read(KEY)), isClosed);
  }),
  contractCase("close: what was written before is there for the other connection", async (stage) => {
    const written = await stage.put(KEY);
    await stage.backend.close();
    await assertStored({ ...stage, backend: stage.other }, KEY, written);
    assert.equal(await stage.other.remove(KEY), true, "and can be removed");
  }),
  contractCase("open: a second time changes nothing", async (stage) => {
    const written = await stage.put(KEY);
    await stage.backend.open();
    await assertStored(stage, KEY, written);
  }),
];

/**
 * The contract of `Backend`, sentence by sentence, for any test runner. A backend is right when all cases pass; none may be
 * left out. `docs/backends.md` shows a whole test.
 *
 * @example
 * import { test } from "node:test";
 * import { backendContract } from "express-tokenizer/backend-contract";
 * import makeBackend from "../backends/my-backend.js";
 *
 * async function makeSubject(context) {
 *   const url = await startEmptyDatabase();
 *   return { backend: makeBackend({ url }, context), other: makeBackend({ url }, context) };
 * }
 *
 * for (const { name, run } of backendContract) test(name, () => run(makeSubject));
 */
export const backendContract: readonly ContractCase[] = [
  ...reading,
  ...writing,
  ...touching,
  ...ending,
  ...keeping,
  ...closing,
];
