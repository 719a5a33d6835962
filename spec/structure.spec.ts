import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "@jest/globals";

/** What backends share that connect to a server themselves. */
const OF_SERVERS = ["backends/login.ts", "backends/network.ts", "backends/tls.ts"];

// Who may import whom in lib. The row that fits best counts: that of backends/redis for its files, not that of backends.
// A folder's own files are always allowed. `types` are what may be imported with `import type`, and no other way.
const RULES: Record<string, { values: string[]; types: string[]; why: string }> = {
  "index.ts": {
    values: ["request.ts", "errors.ts", "tokenizer.ts", "session/store.ts"],
    types: ["backends/backend.ts", "backends/open.ts", "events.ts", "health.ts", "session", "settings"],
    why: "the public names, and nothing else",
  },
  "index.mts": { values: ["index.ts"], types: [], why: "the same names for `import`" },
  "tokenizer.ts": {
    values: [
      "errors.ts",
      "deadline.ts",
      "health.ts",
      "middleware.ts",
      "warnings.ts",
      "settings/arguments.ts",
      "settings/load.ts",
      "settings/request-cookie.ts",
      "session",
      "credentials",
      "backends/open.ts",
    ],
    types: ["settings/settings.ts"],
    why: "makes the parts and joins them; which backend it is it does not know",
  },
  "middleware.ts": {
    values: ["errors.ts", "awaitable.ts", "events.ts", "answer", "session", "credentials", "device", "warnings.ts"],
    types: ["settings/settings.ts"],
    why: "the way of a request through session and credentials",
  },
  "health.ts": { values: ["errors.ts", "deadline.ts"], types: ["backends/backend.ts"], why: "asks the backend alone" },
  "warnings.ts": { values: [], types: [], why: "looks at requests and the environment" },
  "errors.ts": { values: [], types: [], why: "everybody imports it" },
  "awaitable.ts": { values: [], types: [], why: "everybody imports it" },
  "native.ts": { values: [], types: [], why: "whoever goes on later imports it" },
  "deadline.ts": { values: ["errors.ts", "awaitable.ts"], types: [], why: "whoever waits imports it" },
  "events.ts": { values: [], types: ["errors.ts"], why: "whoever has something to tell imports it" },
  "session-id.ts": { values: [], types: [], why: "what an id is called is the same for sessions and credentials" },
  "visible.ts": { values: [], types: [], why: "whoever shows what comes from somewhere imports it" },
  "request.ts": { values: [], types: [], why: "declarations" },
  answer: { values: ["errors.ts", "native.ts"], types: [], why: "holding a response knows nothing of stores" },
  session: {
    values: [
      ...["errors.ts", "awaitable.ts", "deadline.ts", "events.ts", "native.ts", "session-id.ts", "visible.ts"],
      "credentials/envelope.ts",
      "device/proof.ts",
    ],
    types: ["backends/backend.ts", "credentials", "device/binding.ts", "settings/settings.ts"],
    why: "written once, over the contract, for all backends",
  },
  "session/users": {
    values: ["session", "errors.ts", "deadline.ts", "events.ts", "session-id.ts"],
    types: ["backends/backend.ts", "awaitable.ts"],
    why: "which sessions a user has: built on the same parts, and used by the engine",
  },
  device: {
    values: ["errors.ts", "events.ts", "session-id.ts", "session/place.ts"],
    types: ["awaitable.ts", "session/record.ts", "settings/settings.ts"],
    why: "proofs, and one route: where bindings are kept, the sessions know",
  },
  credentials: { values: ["session-id.ts"], types: [], why: "sealing knows nothing of stores" },
  "backends/backend.ts": { values: [], types: ["awaitable.ts"], why: "the contract that others build on" },
  "backends/login.ts": { values: ["errors.ts"], types: ["awaitable.ts"], why: "whoever signs in at a server" },
  "backends/network.ts": { values: [], types: [], why: "what the system says of networks, in words" },
  "backends/tls.ts": {
    values: ["errors.ts"],
    types: ["settings/settings.ts"],
    why: "certificates, for whichever server",
  },
  "backends/clock.ts": { values: [], types: [], why: "two numbers compared, for whichever backend knows the time" },
  "backends/open.ts": {
    values: ["backends", "errors.ts", "settings/postgres-defaults.ts", "settings/redis-defaults.ts"],
    types: ["settings"],
    why: "from the settings, with the file that a module's path starts from, to the backend",
  },
  ...Object.fromEntries(
    ["local", "redis", "postgres", "dynamodb", "module"].map((name) => [
      `backends/${name}`,
      {
        values: [
          "errors.ts",
          ...(name === "local" ? ["awaitable.ts", "native.ts"] : ["deadline.ts"]),
          ...(["redis", "postgres", "dynamodb"].includes(name) ? ["backends/clock.ts"] : []),
          ...(["redis", "postgres"].includes(name) ? OF_SERVERS : []),
          ...(name === "dynamodb" ? ["visible.ts"] : []),
        ],
        types: [
          "backends/backend.ts",
          ...(name === "local" ? [] : ["settings/settings.ts"]),
          ...(name === "module" ? ["awaitable.ts"] : []),
        ],
        why: "opaque text in, opaque text out: a backend knows neither sessions nor credentials, nor another backend",
      },
    ]),
  ),
  "backends/memory": {
    values: ["errors.ts", "native.ts"],
    types: ["backends/backend.ts", "awaitable.ts"],
    why: "as those; it waits for nothing but its turn",
  },
  testing: {
    values: ["errors.ts"],
    types: ["backends/backend.ts", "awaitable.ts"],
    why: "runs in the specs of whoever brings a backend",
  },
  settings: { values: ["errors.ts", "visible.ts"], types: [], why: "checked before anything is made" },
  cli: {
    values: ["errors.ts", "session-id.ts", "visible.ts", "tokenizer.ts", "settings", "backends"],
    types: ["awaitable.ts", "session/listing.ts"],
    why: "asks as the application does; some commands ask the backend alone",
  },
};

/** What may not be installed: loaded when its backend is opened, so imported by no statement that would load it earlier. */
const OPTIONAL: Record<string, { loadedBy: string; types: RegExp }> = {
  redis: { loadedBy: "backends/redis/dialer.ts", types: /^backends\/redis\// },
  pg: { loadedBy: "backends/postgres/own-pool.ts", types: /^backends\/postgres\// },
  "@aws-sdk/client-dynamodb": {
    loadedBy: "backends/dynamodb/sdk.ts",
    types: /^(backends\/dynamodb\/|cli\/create-dynamodb-table)/,
  },
  libsql: { loadedBy: "backends/local/sqlite.ts", types: /^backends\/local\/sqlite/ },
};

interface Import {
  from: string;
  of: string;
  kind: "value" | "type" | "dynamic";
}

const LIB = fileURLToPath(new URL("../lib", import.meta.url));
const files = readdirSync(LIB, { recursive: true, encoding: "utf8" })
  .map((path) => path.replaceAll("\\", "/"))
  .filter((path) => /\.m?ts$/.test(path))
  .sort();
const textOf = (file: string) => readFileSync(join(LIB, file), "utf8");
const imports = files.flatMap((file) => importsIn(file, textOf(file)));
const ours = imports.filter(({ of }) => files.includes(of));

function importsIn(file: string, text: string): Import[] {
  const target = (name: string) =>
    name.startsWith(".") ? posix.join(posix.dirname(file), name).replace(/js$/, "ts") : name;
  const stated = [...text.matchAll(/^(?:import|export) (type )?(?:[^"';]*? from )?"([^"]+)"/gm)].map(
    ([, type, name = ""]): Import => ({ from: file, of: target(name), kind: type ? "type" : "value" }),
  );
  const called = [...text.matchAll(/(typeof )?\b(?:import|require)\("([^"]+)"\)/g)].map(
    ([, type, name = ""]): Import => ({ from: file, of: target(name), kind: type ? "type" : "dynamic" }),
  );
  return [...stated, ...called];
}

/** The row about a file: its own, else its folder's. */
const ruleFor = (file: string) => RULES[file] ?? RULES[posix.dirname(file)];
const isIn = (places: string[], file: string) => places.some((place) => file === place || file.startsWith(`${place}/`));

function isAllowed({ from, of, kind }: Import): boolean {
  const rule = ruleFor(from);
  if (!rule) return false;
  const neighbours = RULES[from] ? [] : [posix.dirname(from)];
  return isIn([...rule.values, ...neighbours], of) || (kind === "type" && isIn(rule.types, of));
}

const shown = ({ from, of, kind }: Import) => `${from} → ${of} (${kind})`;

describe("lib", () => {
  test("every import of our own files is one that the table allows", () => {
    expect(ours.length).toBeGreaterThan(100);
    expect(ours.filter((one) => !isAllowed(one)).map(shown)).toEqual([]);
  });

  test("every relative import is understood", () => {
    const relative = imports.filter(({ of }) => of.includes(".ts"));
    expect(relative.filter(({ of }) => !files.includes(of)).map(shown)).toEqual([]);
  });

  test("the table says nothing that is not so: every place in it is there, and every leave is used", () => {
    for (const [who, { values, types }] of Object.entries(RULES)) {
      const theirs = ours.filter(({ from }) => ruleFor(from) === RULES[who]);
      const unused = [
        ...values.filter((place) => !theirs.some(({ of, kind }) => kind !== "type" && isIn([place], of))),
        ...types.filter((place) => !theirs.some(({ of, kind }) => kind === "type" && isIn([place], of))),
      ];
      expect({ who, unused, isThere: files.some((file) => isIn([who], file)) }).toEqual({
        who,
        unused: [],
        isThere: true,
      });
    }
  });

  test("no file imports itself by way of others", () => {
    expect(files.map(circleFrom).filter(Boolean)).toEqual([]);
  });

  test.each(Object.entries(OPTIONAL))("%s is loaded by its backend alone, when that is opened", (name, rule) => {
    const found = imports.filter(({ of }) => of === name);
    expect(found.filter(({ kind }) => kind !== "type").map(shown)).toEqual([`${rule.loadedBy} → ${name} (dynamic)`]);
    expect(found.filter(({ from }) => !rule.types.test(from)).map(shown)).toEqual([]);
  });

  test.each(files)("%s begins by saying what lives there", (file) => {
    expect(textOf(file).replace(/^#!.*\n/, "")).toMatch(/^\/\*\*[\s*]+[\s\S]{10,}?\*\//);
  });
});

/** The way back to the file, if there is one. */
function circleFrom(file: string): string | undefined {
  const reached = new Map<string, string[]>([[file, [file]]]);
  for (const [at, way] of reached) {
    for (const { of } of ours.filter(({ from }) => from === at)) {
      if (of === file) return [...way, file].join(" → ");
      if (!reached.has(of)) reached.set(of, [...way, of]);
    }
  }
  return undefined;
}
