import { describe, expect, test } from "@jest/globals";
import type { Entry, Expected, StoredRecord } from "../../lib/backends/backend.js";
import { backendContract, type MakeSubject } from "../../lib/testing/backend-contract.js";
import { MemoryBackend, MemoryPlace } from "../support/memory-backend.js";

// The contract itself: a right backend passes all of it, and no backend that breaks one sentence does.

function subjectsOf(Kind: typeof MemoryBackend): MakeSubject {
  return async ({ now }) => {
    const place = new MemoryPlace();
    return { backend: new Kind({ now, place }), other: new Kind({ now, place }), expiryGranularity: 1 };
  };
}

/** Each sabotaged backend goes through the contract once: both tables below ask for it. */
const failuresOfKind = new Map<typeof MemoryBackend, Promise<string[]>>();

function failuresOfOnce(Kind: typeof MemoryBackend): Promise<string[]> {
  const failures = failuresOfKind.get(Kind) ?? failuresOf(subjectsOf(Kind));
  failuresOfKind.set(Kind, failures);
  return failures;
}

/** The names of the cases that fail. */
async function failuresOf(make: MakeSubject): Promise<string[]> {
  const outcomes = await Promise.all(
    backendContract.map(async ({ name, run }) => {
      try {
        await run(make);
        return [];
      } catch {
        return [name];
      }
    }),
  );
  return outcomes.flat();
}

describe("a right backend", () => {
  test.each(backendContract.map(({ name, run }) => [name, run] as const))("%s", async (_, run) => {
    await run(subjectsOf(MemoryBackend));
  });

  test("may keep whole seconds", async () => {
    const floor = (time: number) => Math.floor(time / 1000) * 1000;
    class Coarse extends MemoryBackend {
      override write(key: string, record: StoredRecord, expected: Expected) {
        return super.write(key, { ...record, expires: floor(record.expires) }, expected);
      }
      override touch(key: string, expires: number, version: string) {
        return super.touch(key, floor(expires), version);
      }
    }
    const make = subjectsOf(Coarse);
    expect(await failuresOf(async (options) => ({ ...(await make(options)), expiryGranularity: 1000 }))).toEqual([]);
  });

  test("may expire by itself, and leave nothing to prune", async () => {
    class SelfExpiring extends MemoryBackend {
      override async prune() {
        await super.prune();
        return 0;
      }
    }
    expect(await failuresOf(subjectsOf(SelfExpiring))).toEqual([]);
  });
});

test("no two cases have the same name", () => {
  expect(new Set(backendContract.map(({ name }) => name)).size).toBe(backendContract.length);
});

test("what the subject holds is let go of when a case passes and when it fails", async () => {
  const disposed: string[] = [];
  for (const Kind of [MemoryBackend, brokenRead()]) {
    const make = subjectsOf(Kind);
    for (const { run } of backendContract.slice(0, 3)) {
      const dispose = async () => {
        disposed.push(Kind.name);
      };
      await run(async (options) => ({ ...(await make(options)), dispose })).catch(() => {});
    }
  }
  expect(disposed).toHaveLength(6);
});

function brokenRead() {
  return class BrokenRead extends MemoryBackend {
    override async read(): Promise<StoredRecord | undefined> {
      throw new Error("broken");
    }
  };
}

/** Each breaks one sentence of backend.ts; beside it, the case that must notice. Others may notice, too. */
const SABOTAGED: ReadonlyArray<readonly [what: string, noticed: string, Kind: typeof MemoryBackend]> = [
  [
    "read answers an expired record",
    "read: an expired record is absent, before prune and after it",
    class extends MemoryBackend {
      override async read(key: string) {
        await this.turn();
        return this.place.records.get(key);
      }
    },
  ],
  [
    "read holds a record for alive in its last moment",
    "read: a record lives until its moment and not in it",
    class extends MemoryBackend {
      override async read(key: string) {
        await this.turn();
        const record = this.place.records.get(key);
        return record && record.expires >= this.now() ? record : undefined;
      }
    },
  ],
  [
    "read answers null for nothing",
    "read: what was never written is absent",
    class extends MemoryBackend {
      override async read(key: string) {
        return (await super.read(key)) ?? (null as unknown as undefined);
      }
    },
  ],
  ["read throws", "read: what was written is answered whole, to both connections", brokenRead()],
  [
    "read answers from a memory of its own",
    "remove: true when it was there, and then it is gone for both connections",
    class extends MemoryBackend {
      readonly #seen = new Map<string, StoredRecord | undefined>();
      override async read(key: string) {
        const found = await super.read(key);
        const answer = this.#seen.has(key) ? this.#seen.get(key) : found;
        this.#seen.set(key, answer);
        return answer;
      }
    },
  ],
  [
    "write trims the value",
    "read: a value is kept to the letter: spaces at both ends",
    class extends MemoryBackend {
      override write(key: string, record: StoredRecord, expected: Expected) {
        return super.write(key, { ...record, value: record.value.trim() }, expected);
      }
    },
  ],
  [
    "write cuts the value at 64 KB",
    "read: a value is kept to the letter: 100 KB",
    class extends MemoryBackend {
      override write(key: string, record: StoredRecord, expected: Expected) {
        return super.write(key, { ...record, value: record.value.slice(0, 65_536) }, expected);
      }
    },
  ],
  [
    "write keeps one byte a character",
    "read: a value is kept to the letter: emoji and other scripts",
    class extends MemoryBackend {
      override write(key: string, record: StoredRecord, expected: Expected) {
        const value = Buffer.from(record.value, "latin1").toString("latin1");
        return super.write(key, { ...record, value }, expected);
      }
    },
  ],
  [
    "write normalises the value",
    "read: a value is kept to the letter: composed and decomposed accents",
    class extends MemoryBackend {
      override write(key: string, record: StoredRecord, expected: Expected) {
        return super.write(key, { ...record, value: record.value.normalize() }, expected);
      }
    },
  ],
  [
    "keys ignore capitals",
    "read: keys differ by every character, and none is special",
    class extends MemoryBackend {
      override read(key: string) {
        return super.read(key.toLowerCase());
      }
      override write(key: string, record: StoredRecord, expected: Expected) {
        return super.write(key.toLowerCase(), record, expected);
      }
    },
  ],
  [
    "records are kept in a plain object",
    "read: keys differ by every character, and none is special",
    class extends MemoryBackend {
      override async read(key: string) {
        const records: Record<string, StoredRecord> = {};
        for (const [name, record] of this.place.records) records[name] = record;
        await this.turn();
        return records[key];
      }
    },
  ],
  [
    "times are kept in 32 bits of seconds",
    "read: times beyond 2038, up to the last that a Date can hold",
    class extends MemoryBackend {
      override write(key: string, record: StoredRecord, expected: Expected) {
        return super.write(key, { ...record, expires: Math.min(record.expires, (2 ** 31 - 1) * 1000) }, expected);
      }
    },
  ],
  [
    "write ignores what is expected",
    "write version: false over another version, which stays",
    class extends MemoryBackend {
      override write(key: string, record: StoredRecord) {
        return super.write(key, record, "any");
      }
    },
  ],
  [
    "write answers true for a refused write",
    "write absent: false over a live record, which stays",
    class extends MemoryBackend {
      override async write(key: string, record: StoredRecord, expected: Expected) {
        await super.write(key, record, expected);
        return true;
      }
    },
  ],
  [
    "write absent is refused over an expired record",
    "write absent: true over an expired record",
    class extends MemoryBackend {
      override async write(key: string, record: StoredRecord, expected: Expected) {
        await this.turn();
        if (expected === "absent" && this.place.records.has(key)) return false;
        return super.write(key, record, expected);
      }
    },
  ],
  [
    "write version matches an expired record",
    "write version: false over an expired record, before prune and after it",
    class extends MemoryBackend {
      override async write(key: string, record: StoredRecord, expected: Expected) {
        const stored = this.place.records.get(key)?.version;
        const isMatch = typeof expected === "object" && stored === expected.version;
        return super.write(key, record, isMatch ? "any" : expected);
      }
    },
  ],
  [
    "write version creates what was removed",
    "write version: false after a removal, and nothing is created",
    class extends MemoryBackend {
      override async write(key: string, record: StoredRecord, expected: Expected) {
        return super.write(key, record, this.place.records.has(key) ? expected : "any");
      }
    },
  ],
  [
    "write compares versions without capitals",
    "write version: versions compare to the letter",
    class extends MemoryBackend {
      override async write(key: string, record: StoredRecord, expected: Expected) {
        const stored = this.place.records.get(key)?.version;
        const isMatch = typeof expected === "object" && stored?.toLowerCase() === expected.version.toLowerCase();
        return super.write(key, record, isMatch ? "any" : expected);
      }
    },
  ],
  [
    "write compares and sets in two steps",
    "write version: of 20 at once from one connection, exactly one is written",
    class extends MemoryBackend {
      override async write(key: string, record: StoredRecord, expected: Expected) {
        const current = await this.read(key);
        if (expected === "absent" && current) return false;
        if (typeof expected === "object" && current?.version !== expected.version) return false;
        return super.write(key, record, "any");
      }
    },
  ],
  [
    "write is atomic within one connection only",
    "write version: of 20 at once from two connections, exactly one is written",
    class extends MemoryBackend {
      #last: Promise<unknown> = Promise.resolve();
      override write(key: string, record: StoredRecord, expected: Expected) {
        const mine = this.#last.then(async () => {
          const current = await this.read(key);
          if (expected === "absent" && current) return false;
          if (typeof expected === "object" && current?.version !== expected.version) return false;
          return super.write(key, record, "any");
        });
        this.#last = mine.catch(() => {});
        return mine;
      }
    },
  ],
  [
    "write refuses an end in the past",
    "write: an end in the past is written, and absent",
    class extends MemoryBackend {
      override async write(key: string, record: StoredRecord, expected: Expected) {
        return record.expires > this.now() && super.write(key, record, expected);
      }
    },
  ],
  [
    "write keeps the end of the record before",
    "write any: over nothing, over a live record, over an expired one",
    class extends MemoryBackend {
      override write(key: string, record: StoredRecord, expected: Expected) {
        const expires = this.place.records.get(key)?.expires ?? record.expires;
        return super.write(key, { ...record, expires }, expected);
      }
    },
  ],
  [
    "touch creates",
    "touch: never creates",
    class extends MemoryBackend {
      override async touch(key: string, expires: number, version: string) {
        const wasThere = await super.touch(key, expires, version);
        if (!this.place.records.has(key)) this.place.records.set(key, { value: "", version, expires });
        return wasThere;
      }
    },
  ],
  [
    "touch changes the version",
    "touch: a version read before it still matches after it",
    class extends MemoryBackend {
      override async touch(key: string, expires: number, version: string) {
        const wasThere = await super.touch(key, expires, version);
        const record = this.place.records.get(key);
        if (wasThere && record) this.place.records.set(key, { ...record, version: `${version}+` });
        return wasThere;
      }
    },
  ],
  [
    "touch revives an expired record",
    "touch: false on an expired record, which stays so",
    class extends MemoryBackend {
      override async touch(key: string, expires: number, version: string) {
        await this.turn();
        const record = this.place.records.get(key);
        if (record?.version !== version) return false;
        this.place.records.set(key, { ...record, expires: Math.max(expires, record.expires) });
        return true;
      }
    },
  ],
  [
    "touch does nothing",
    "touch: moves the end of a live record and nothing else",
    class extends MemoryBackend {
      override async touch(key: string, _expires: number, version: string) {
        return (await this.read(key))?.version === version;
      }
    },
  ],
  [
    "touch moves only what this connection wrote",
    "touch: moves the end from the other connection, too",
    class extends MemoryBackend {
      readonly #mine = new Set<string>();
      override write(key: string, record: StoredRecord, expected: Expected) {
        this.#mine.add(record.version);
        return super.write(key, record, expected);
      }
      override touch(key: string, expires: number, version: string) {
        return super.touch(key, this.#mine.has(version) ? expires : 0, version);
      }
    },
  ],
  [
    "touch ignores the version",
    "touch: false on another version, whose end stays",
    class extends MemoryBackend {
      override touch(key: string, expires: number) {
        return super.touch(key, expires, this.live(key)?.version ?? "");
      }
    },
  ],
  [
    "touch moves the end of another version, and answers false",
    "touch: false on another version, whose end stays",
    class extends MemoryBackend {
      override async touch(key: string, expires: number, version: string) {
        const stored = this.live(key)?.version ?? "";
        return (await super.touch(key, expires, stored)) && stored === version;
      }
    },
  ],
  [
    "touch answers true for a nearer end of another version",
    "touch: false on another version, whose end stays",
    class extends MemoryBackend {
      override async touch(key: string, expires: number, version: string) {
        const isNearer = expires < (this.live(key)?.expires ?? 0);
        return (await super.touch(key, expires, version)) || isNearer;
      }
    },
  ],
  [
    "touch goes by the version that a record had first",
    "touch: false on the version before, once a record was written again",
    class extends MemoryBackend {
      readonly #first = new Map<string, string>();
      override write(key: string, record: StoredRecord, expected: Expected) {
        if (!this.#first.has(key)) this.#first.set(key, record.version);
        return super.write(key, record, expected);
      }
      override touch(key: string, expires: number, version: string) {
        const isFirst = this.#first.get(key) === version;
        return super.touch(key, expires, isFirst ? (this.live(key)?.version ?? "") : version);
      }
    },
  ],
  [
    "touch compares versions without capitals",
    "touch: versions compare to the letter",
    class extends MemoryBackend {
      override touch(key: string, expires: number, version: string) {
        const stored = this.live(key)?.version;
        const isMatch = stored?.toLowerCase() === version.toLowerCase();
        return super.touch(key, expires, isMatch && stored !== undefined ? stored : version);
      }
    },
  ],
  [
    "touch brings the end nearer",
    "touch: never brings the end nearer, nor into the past",
    class extends MemoryBackend {
      override async touch(key: string, expires: number, version: string) {
        const wasThere = await super.touch(key, expires, version);
        const record = this.place.records.get(key);
        if (wasThere && record) this.place.records.set(key, { ...record, expires });
        return wasThere;
      }
    },
  ],
  [
    "touch to an end in the past removes",
    "touch: never brings the end nearer, nor into the past",
    class extends MemoryBackend {
      override async touch(key: string, expires: number, version: string) {
        const wasThere = await super.touch(key, expires, version);
        if (wasThere && expires <= this.now()) this.place.records.delete(key);
        return wasThere;
      }
    },
  ],
  [
    "touch answers whether it moved the end",
    "touch: true where the end is there already",
    class extends MemoryBackend {
      override async touch(key: string, expires: number, version: string) {
        const before = this.live(key)?.expires ?? 0;
        return (await super.touch(key, expires, version)) && expires > before;
      }
    },
  ],
  [
    "touch answers false for a nearer end",
    "touch: one that comes late, after one that moved the end further, changes nothing",
    class extends MemoryBackend {
      override async touch(key: string, expires: number, version: string) {
        const before = this.live(key)?.expires ?? 0;
        return (await super.touch(key, expires, version)) && expires >= before;
      }
    },
  ],
  [
    "touch compares the ends, then moves",
    "touch: of 20 at once, the furthest end stands",
    class extends MemoryBackend {
      override async touch(key: string, expires: number, version: string) {
        const before = await this.read(key);
        if (before?.version !== version) return false;
        if (before.expires >= expires) return true;
        await this.turn();
        const record = this.live(key);
        if (record?.version === version) this.place.records.set(key, { ...record, expires });
        return record?.version === version;
      }
    },
  ],
  [
    "touch compares the version, then moves what is there",
    "touch: at once with a write over its version, moves nothing of the new record",
    class extends MemoryBackend {
      override async touch(key: string, expires: number, version: string) {
        if ((await this.read(key))?.version !== version) return false;
        await this.turn();
        const record = this.live(key);
        if (record) this.place.records.set(key, { ...record, expires: Math.max(expires, record.expires) });
        return record !== undefined;
      }
    },
  ],
  [
    "touch reads the record, then writes it back",
    "touch: at once with a removal, brings nothing back",
    class extends MemoryBackend {
      override async touch(key: string, expires: number, version: string) {
        const record = await this.read(key);
        if (record?.version !== version) return false;
        return super.write(key, { ...record, expires: Math.max(expires, record.expires) }, "any");
      }
    },
  ],
  [
    "remove does nothing",
    "remove: true when it was there, and then it is gone for both connections",
    class extends MemoryBackend {
      override async remove(key: string) {
        return (await this.read(key)) !== undefined;
      }
    },
  ],
  [
    "remove answers true for the absent",
    "remove: false when there was nothing, or nothing any more",
    class extends MemoryBackend {
      override async remove(key: string) {
        await super.remove(key);
        return true;
      }
    },
  ],
  [
    "remove answers true for the expired",
    "remove: false on an expired record",
    class extends MemoryBackend {
      override async remove(key: string) {
        await this.turn();
        return this.place.records.delete(key);
      }
    },
  ],
  [
    "remove takes all with it",
    "remove: true when it was there, and then it is gone for both connections",
    class extends MemoryBackend {
      override async remove(key: string) {
        const wasThere = await super.remove(key);
        this.place.records.clear();
        return wasThere;
      }
    },
  ],
  [
    "entries answers the expired",
    "entries: no expired record, even a whole page of them",
    class extends MemoryBackend {
      override async *entries(): AsyncGenerator<Entry> {
        await this.turn();
        for (const [key, record] of [...this.place.records]) yield { key, ...record };
      }
    },
  ],
  [
    "entries answers what others keep in the same place",
    "entries: nothing of an empty place",
    class extends MemoryBackend {
      override async *entries(): AsyncGenerator<Entry> {
        yield { key: "theirs", value: "", version: "", expires: this.now() + 60_000 };
        yield* super.entries();
      }
    },
  ],
  [
    "entries stops after the first page",
    "entries: all of 613 records, each once and whole",
    class extends MemoryBackend {
      override async *entries(): AsyncGenerator<Entry> {
        let left = 256;
        for await (const entry of super.entries()) {
          if (left-- === 0) return;
          yield entry;
        }
      }
    },
  ],
  [
    "entries repeats the last of each page",
    "entries: all of 613 records, each once and whole",
    class extends MemoryBackend {
      override async *entries(): AsyncGenerator<Entry> {
        let seen = 0;
        for await (const entry of super.entries()) {
          yield entry;
          if (++seen % 100 === 0) yield entry;
        }
      }
    },
  ],
  [
    "entries stops at a page that has only expired records",
    "entries: no expired record, even a whole page of them",
    class extends MemoryBackend {
      override async *entries(): AsyncGenerator<Entry> {
        await this.turn();
        const all = [...this.place.records];
        for (let start = 0; start < all.length; start += 10) {
          const living = all.slice(start, start + 10).filter(([key]) => this.live(key));
          if (living.length === 0) return;
          for (const [key, record] of living) yield { key, ...record };
        }
      }
    },
  ],
  [
    "entries counts its way, and skips when records go",
    "entries: removing what it answers, as it goes, misses nothing",
    class extends MemoryBackend {
      override async *entries(): AsyncGenerator<Entry> {
        await this.turn();
        for (let start = 0; start < this.place.records.size; start += 100) {
          for (const [key] of [...this.place.records].slice(start, start + 100)) {
            const record = this.live(key);
            if (record) yield { key, ...record };
          }
        }
      }
    },
  ],
  [
    "entries forgets the version",
    "entries: all of 613 records, each once and whole",
    class extends MemoryBackend {
      override async *entries(): AsyncGenerator<Entry> {
        for await (const entry of super.entries()) yield { ...entry, version: "" };
      }
    },
  ],
  [
    "prune drops what lives",
    "prune: drops what has expired, and never what lives",
    class extends MemoryBackend {
      override async prune() {
        const dropped = await super.prune();
        this.place.records.clear();
        return dropped;
      }
    },
  ],
  [
    "prune drops what ends within a minute",
    "prune: drops what has expired, and never what lives",
    class extends MemoryBackend {
      override async prune() {
        const dropped = await super.prune();
        for (const [key, { expires }] of this.place.records) {
          if (expires < this.now() + 60_000) this.place.records.delete(key);
        }
        return dropped;
      }
    },
  ],
  [
    "prune counts all records",
    "prune: drops what has expired, and never what lives",
    class extends MemoryBackend {
      override async prune() {
        const { size } = this.place.records;
        await super.prune();
        return size;
      }
    },
  ],
  [
    "prune does nothing, and counts",
    "prune: drops what has expired, and never what lives",
    class extends MemoryBackend {
      override async prune() {
        await this.turn();
        return [...this.place.records.keys()].filter((key) => !this.live(key)).length;
      }
    },
  ],
  [
    "prune goes by the end that a record had first",
    "prune: spares a record that was touched or written again",
    class extends MemoryBackend {
      readonly #first = new Map<string, number>();
      override write(key: string, record: StoredRecord, expected: Expected) {
        if (!this.#first.has(key)) this.#first.set(key, record.expires);
        return super.write(key, record, expected);
      }
      override async prune() {
        let dropped = await super.prune();
        for (const [key, expires] of this.#first) {
          if (expires <= this.now() && this.place.records.delete(key)) dropped += 1;
        }
        return dropped;
      }
    },
  ],
  [
    "prune looks at a record when its first end has come",
    "prune: goes by a record's last end, which comes sooner only by a write",
    class extends MemoryBackend {
      readonly #first = new Map<string, number>();
      override write(key: string, record: StoredRecord, expected: Expected) {
        if (!this.#first.has(key)) this.#first.set(key, record.expires);
        return super.write(key, record, expected);
      }
      override async prune() {
        const isDue = (key: string) => (this.#first.get(key) ?? 0) <= this.now();
        const over = [...this.place.records.keys()].filter((key) => isDue(key) && !this.live(key));
        return over.filter((key) => this.place.records.delete(key)).length;
      }
    },
  ],
  [
    "close is silent: calls go on",
    "close: a later read throws STORE_CLOSED",
    class extends MemoryBackend {
      override async close() {}
    },
  ],
  [
    "close makes reads answer nothing",
    "close: a later read throws STORE_CLOSED",
    class extends MemoryBackend {
      #closed = false;
      override async close() {
        this.#closed = true;
        await super.close();
      }
      override async read(key: string) {
        return this.#closed ? undefined : super.read(key);
      }
    },
  ],
  [
    "close makes entries end at once",
    "close: a later entries throws STORE_CLOSED",
    class extends MemoryBackend {
      #closed = false;
      override async close() {
        this.#closed = true;
        await super.close();
      }
      override async *entries(): AsyncGenerator<Entry> {
        if (!this.#closed) yield* super.entries();
      }
    },
  ],
  [
    "calls after close throw an error that is none of ours",
    "close: a later write throws STORE_CLOSED",
    class extends MemoryBackend {
      protected override turn() {
        return super.turn().catch(() => {
          throw Object.assign(new Error("closed"), { code: "STORE_CLOSED", status: 503 });
        });
      }
    },
  ],
  [
    "a second close throws",
    "close: twice is once, and at once, too",
    class extends MemoryBackend {
      #closed = false;
      override async close() {
        if (this.#closed) throw new Error("closed already");
        this.#closed = true;
        await super.close();
      }
    },
  ],
  [
    "close takes the records with it",
    "close: what was written before is there for the other connection",
    class extends MemoryBackend {
      override async close() {
        this.place.records.clear();
        await super.close();
      }
    },
  ],
  [
    "open begins anew",
    "open: a second time changes nothing",
    class extends MemoryBackend {
      override async open() {
        await super.open();
        this.place.records.clear();
      }
    },
  ],
];

describe("a sabotaged backend is noticed", () => {
  test.each(SABOTAGED)("%s", async (_, noticed, Kind) => {
    expect(await failuresOfOnce(Kind)).toContain(noticed);
  });
});

describe("no case is idle", () => {
  test("each one fails for at least one sabotaged backend", async () => {
    const failing = new Set((await Promise.all(SABOTAGED.map(([, , Kind]) => failuresOfOnce(Kind)))).flat());
    expect(backendContract.map(({ name }) => name).filter((name) => !failing.has(name))).toEqual([]);
  });
});
