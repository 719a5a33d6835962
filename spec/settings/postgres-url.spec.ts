import { inspect } from "node:util";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { readPostgresUrl } from "../../lib/settings/postgres-url.js";
import type { SettingsInput } from "../../lib/settings/settings.js";
import { GOOD_PASSWORD, loading, loadingText, paths, section, writeSettings } from "./loading.js";

/** Not to be told, whatever is wrong. */
const PASSWORD = "canary-7391";
const BY_TLS = { ssl: true };

type Tokenizer = SettingsInput["tokenizer"];

const postgres = (rest: Tokenizer) =>
  loading({ tokenizer: { type: "postgres", safe_password: GOOD_PASSWORD, ...rest } });

/** What of the settings a URL can say. */
function saidBy(url: string) {
  const { settings, error } = postgres({ url });
  expect(error).toBeUndefined();
  expect(settings?.tokenizer).not.toHaveProperty("url");
  const { host, port, username, password, database, options } = settings?.tokenizer ?? {};
  return { host, port, username, password, database, options };
}

describe("a url is what it says, and no more", () => {
  test.each<[string, Tokenizer]>([
    ["postgres://", {}],
    ["postgresql://localhost", { host: "localhost" }],
    ["postgres://localhost:5433", { host: "localhost", port: 5433 }],
    ["postgres://localhost/", { host: "localhost" }],
    ["postgres://10.0.0.1:5433/my_app", { host: "10.0.0.1", port: 5433, database: "my_app" }],
    ["postgres://[2001:db8::1]:5433/x", { host: "2001:db8::1", port: 5433, database: "x" }],
    ["POSTGRES://Db.Example.com/My_App", { host: "Db.Example.com", database: "My_App" }],
    [" postgres://h:5433 ", { host: "h", port: 5433 }],
    ["postgres:///my_app", { database: "my_app" }],
    ["postgres://h/5", { host: "h", database: "5" }],
    ["postgres://ada:secret@h", { host: "h", username: "ada", password: "secret" }],
    ["postgres://:secret@h", { host: "h", password: "secret" }],
    ["postgres://ada@h", { host: "h", username: "ada" }],
    ["postgres://ada:@h", { host: "h", username: "ada" }],
    ["postgres://ada%3A:%2F%40%25%20@h/a%2Fb", { host: "h", username: "ada:", password: "/@% ", database: "a/b" }],
    // As they are generated, and pasted as they are.
    ["postgres://ada:a/b+c=@h/x", { host: "h", username: "ada", password: "a/b+c=", database: "x" }],
    ["postgres://ada:1/b@h/x", { host: "h", username: "ada", password: "1/b", database: "x" }],
    ["postgres://ada:p@ss#w?rd:x[y]@h:1", { username: "ada", password: "p@ss#w?rd:x[y]", host: "h", port: 1 }],
    ["postgres://ada:pa?x=1@h/x", { username: "ada", password: "pa?x=1", host: "h", database: "x" }],
    ["postgres://ada:pa@ss/w@h/x?sslmode=disable", { username: "ada", password: "pa@ss/w", host: "h", database: "x" }],
    ["postgres://:pässwörd@h", { host: "h", password: "pässwörd" }],
    // A socket, by its folder.
    ["postgres:///x?host=/var/run/postgresql", { host: "/var/run/postgresql", database: "x" }],
    ["postgres://%2Fvar%2Frun%2Fpostgresql/x", { host: "/var/run/postgresql", database: "x" }],
    ["postgres://ada@%2Frun%2Fa%20b:5433/x", { host: "/run/a b", port: 5433, username: "ada", database: "x" }],
    // As libpq has them, which lets these win.
    [
      "postgres://h/x?host=db&port=5433&user=ada&password=a%26b&dbname=y",
      { host: "db", port: 5433, username: "ada", password: "a&b", database: "y" },
    ],
    ["postgres://h/x?user=ada@example.com", { host: "h", database: "x", username: "ada@example.com" }],
    ["postgres://h/x?host=&user=&", { host: "h", database: "x" }],
  ])("%s", (url, { options, ...expected }) => {
    const { options: said, ...server } = saidBy(url);
    expect(server).toEqual(expected);
    expect(said).toEqual(url.includes("sslmode") ? { ssl: false } : options);
  });

  test.each<[string, Tokenizer["options"]]>([
    ["sslmode=disable", { ssl: false }],
    ["sslmode=require", BY_TLS],
    ["sslmode=verify-ca", BY_TLS],
    ["sslmode=verify-full", BY_TLS],
    ["sslmode=no-verify", { ssl: true, verify: false }],
    ["ssl=true", BY_TLS],
    ["ssl=1", BY_TLS],
    ["ssl=false", { ssl: false }],
    ["ssl=0", { ssl: false }],
    ["ssl=true&sslmode=verify-full", BY_TLS],
    ["ssl=true&sslmode=no-verify", { ssl: true, verify: false }],
    ["ssl=1&ssl=1&sslmode=no-verify", { ssl: true, verify: false }],
    ["sslmode=no-verify&ssl=true", { ssl: true, verify: false }],
    ["sslmode=verify-full&sslrootcert=system", BY_TLS],
    ["sslmode=verify-full&sslrootcert=/etc/ca.pem", { ssl: true, ca: "/etc/ca.pem" }],
    ["sslmode=require&sslcert=c.pem&sslkey=k.pem", { ssl: true, cert: "c.pem", key: "k.pem" }],
    ["application_name=shop", undefined],
  ])("%s says how TLS is done", (query, options) => {
    expect(saidBy(`postgres://h/x?${query}`).options).toEqual(options);
  });

  test.each<[string, Tokenizer, Tokenizer]>([
    ["a user and a password", { username: "ada", password: "x" }, { username: "ada", password: "x" }],
    ["a port", { port: 5433 }, { port: 5433 }],
    ["a database", { database: "x" }, { database: "x" }],
    ["a password's file", { username: "ada", password_file: "/run/x" }, { username: "ada", password_file: "/run/x" }],
    [
      "how TLS is done",
      { options: { ca: "pem", verify: false } },
      { options: { ssl: true, ca: "pem", verify: false } },
    ],
    ["ssl: true, which it says", { options: { ssl: true } }, { options: { ssl: true } }],
    ["a table", { table: "auth.sessions" }, { table: "auth.sessions" }],
  ])("%s may stand beside it, where it does not say", (_name, beside, expected) => {
    const { settings, error } = postgres({ url: "postgres://h?sslmode=require", ...beside });
    expect(error).toBeUndefined();
    expect(settings?.tokenizer).toMatchObject({ host: "h", ...expected });
  });
});

test("a user may stand beside a url with a password alone", () => {
  const { settings, error } = postgres({ url: "postgres://:secret@h", username: "ada" });
  expect(error).toBeUndefined();
  expect(settings?.tokenizer).toMatchObject({ username: "ada", password: "secret" });
});

describe("whatever a login is made of", () => {
  const any = fc.string({ minLength: 1, maxLength: 8 }).filter((text) => !text.includes("\0"));
  const rough = fc.string({ unit: fc.constantFrom(..."ab1@:/?#[]&= ,"), minLength: 1, maxLength: 12 });

  test("it is taken, if it is written in codes", () => {
    fc.assert(
      fc.property(any, any, any, (username, password, database) => {
        const [user, secret, name] = [username, password, database].map(encodeURIComponent);
        expect(readPostgresUrl(`postgres://${user}:${secret}@h:1/${name}`)).toEqual({
          ...{ host: "h", port: 1, username, password, database, options: {} },
        });
      }),
    );
  });

  test("a password as it was generated is taken or refused, and never taken for something else", () => {
    fc.assert(
      fc.property(rough, (password) => {
        const said = readPostgresUrl(`postgres://ada:${password}@h/x`);
        if (typeof said !== "string") {
          expect(said).toEqual({ host: "h", username: "ada", password, database: "x", options: {} });
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe("the URLs that providers give are taken as they are pasted", () => {
  test.each<[string, string, Tokenizer]>([
    [
      "Heroku",
      "postgres://u1a2b3:p4c5d6@ec2-3-228-1-2.compute-1.amazonaws.com:5432/d7e8f9",
      { host: "ec2-3-228-1-2.compute-1.amazonaws.com", port: 5432, username: "u1a2b3", database: "d7e8f9" },
    ],
    [
      "Neon",
      "postgresql://alex:AbC123dEf@ep-cool-darkness-a1b2c3d4-pooler.us-east-2.aws.neon.tech/dbname?sslmode=require&channel_binding=require",
      { host: "ep-cool-darkness-a1b2c3d4-pooler.us-east-2.aws.neon.tech", database: "dbname", options: BY_TLS },
    ],
    [
      "Supabase, directly",
      "postgresql://postgres:pw@db.abcdefghijklmnop.supabase.co:5432/postgres",
      { host: "db.abcdefghijklmnop.supabase.co", username: "postgres", database: "postgres" },
    ],
    [
      "Supabase, by its pooler",
      "postgres://postgres.abcdefghijklmnop:pw@aws-0-eu-central-1.pooler.supabase.com:6543/postgres?pgbouncer=true&connection_limit=1",
      { port: 6543, username: "postgres.abcdefghijklmnop", database: "postgres" },
    ],
    [
      "Vercel with Supabase",
      "postgres://postgres.abc:pw@aws-0-us-east-1.pooler.supabase.com:6543/postgres?sslmode=require&supa=base-pooler.x",
      { username: "postgres.abc", options: BY_TLS },
    ],
    [
      "Amazon RDS",
      "postgresql://app:a%2Fb@mydb.c1a2b3.eu-west-1.rds.amazonaws.com:5432/app?sslmode=verify-full&sslrootcert=/opt/global-bundle.pem",
      { password: "a/b", options: { ssl: true, ca: "/opt/global-bundle.pem" } },
    ],
    [
      "Azure",
      "postgresql://blogadmin:YourStr0ngP@ss!@shared.postgres.database.azure.com:5432/blogdb?sslmode=require",
      {
        host: "shared.postgres.database.azure.com",
        username: "blogadmin",
        password: "YourStr0ngP@ss!",
        options: BY_TLS,
      },
    ],
    [
      "Azure, with a server's name in the user's",
      "postgres://app%40shared:pw@shared.postgres.database.azure.com/postgres?sslmode=require",
      { username: "app@shared", password: "pw", database: "postgres" },
    ],
    [
      "DigitalOcean",
      "postgresql://doadmin:AVNS_x@db-postgresql-fra1-1-do-user-1-0.b.db.ondigitalocean.com:25060/defaultdb?sslmode=require",
      { port: 25_060, username: "doadmin", database: "defaultdb", options: BY_TLS },
    ],
    ["Render, inside", "postgresql://app:pw@dpg-abc123-a/app_x1y2", { host: "dpg-abc123-a", database: "app_x1y2" }],
    [
      "Render, outside",
      "postgresql://app:pw@dpg-abc123-a.oregon-postgres.render.com:5432/app_x1y2?sslmode=require",
      { host: "dpg-abc123-a.oregon-postgres.render.com", options: BY_TLS },
    ],
    [
      "Railway, inside",
      "postgresql://postgres:pw@postgres.railway.internal:5432/railway",
      { host: "postgres.railway.internal", database: "railway" },
    ],
    [
      "Railway, outside",
      "postgresql://postgres:pw@monorail.proxy.rlwy.net:39142/railway",
      { host: "monorail.proxy.rlwy.net", port: 39_142 },
    ],
    [
      "Fly",
      "postgres://my_app:pw@my-db.flycast:5432/my_app?sslmode=disable",
      { host: "my-db.flycast", options: { ssl: false } },
    ],
    [
      "Fly, managed",
      "postgresql://fly-user:pw@pgbouncer.abc123.flympg.net/fly-db",
      { host: "pgbouncer.abc123.flympg.net", database: "fly-db" },
    ],
    [
      "Vercel with Neon, for Prisma",
      "postgres://default:pw@ep-x.us-east-1.aws.neon.tech:5432/verceldb?pgbouncer=true&connect_timeout=15&sslmode=require&workaround=supabase-pooler.vercel",
      { username: "default", options: BY_TLS },
    ],
    [
      "Prisma Postgres, directly",
      "postgres://0a1b2c:sk_x@db.prisma.io:5432/postgres?sslmode=require",
      { host: "db.prisma.io", options: BY_TLS },
    ],
    [
      "Google Cloud SQL",
      "postgresql://app:pw@/app?host=/cloudsql/project:europe-west1:db",
      { host: "/cloudsql/project:europe-west1:db", username: "app", database: "app" },
    ],
    [
      "CockroachDB",
      "postgresql://ada:pw@my-1234.aws-eu.cockroachlabs.cloud:26257/defaultdb?sslmode=verify-full",
      { port: 26_257, options: BY_TLS },
    ],
    [
      "one with all that means nothing here",
      "postgres://h/x?application_name=a&fallback_application_name=b&connect_timeout=5&pool_timeout=0&pool_max_conns=9&sslnegotiation=postgres&gssencmode=disable&target_session_attrs=read-write&keepalives=1&keepalives_idle=30&tcp_user_timeout=1&uselibpqcompat=true",
      { host: "h", database: "x" },
    ],
  ])("%s", (_name, url, expected) => {
    expect(saidBy(url)).toMatchObject(expected);
  });
});

describe("a url that cannot be used is refused, and nothing of it is shown", () => {
  const form = "must be postgres://user:password@host:port/database?sslmode=require, and nothing more";
  const scheme = "must begin with postgres:// or postgresql://";
  const several = "names several hosts: name the one that always leads to the primary";
  const inTable = "write it into tokenizer.table, as in schema.table, and take it away here";
  const atRole = "take it away, and set what it says at the role: ALTER ROLE … SET …";
  const unknown = "has a parameter, which is not known here: take it away";
  const percent = "holds a % that begins no code: write it as %25";

  test.each([
    [`h:${PASSWORD}@h`, scheme],
    [`https://${PASSWORD}@h`, scheme],
    [`rediss://:${PASSWORD}@h`, `${scheme}; this one needs type: redis`],
    [`$DATABASE_URL_${PASSWORD}`, `${scheme}; variables are not filled in here: set TOKENIZER_URL`],
    [
      `prisma+postgres://accelerate.prisma-data.net/?api_key=${PASSWORD}`,
      `${scheme}; prisma:// leads to a service of Prisma's: take the database's own URL`,
    ],
    [`"postgres://ada:${PASSWORD}@h/x"`, `${scheme}; take the quotes around it away`],
    [`'postgres://ada:${PASSWORD}@h/x'`, `${scheme}; take the quotes around it away`],
    [`DATABASE_URL=postgres://ada:${PASSWORD}@h/x`, `${scheme}; take away what stands before that`],
    [`jdbc:postgresql://h/x?password=${PASSWORD}`, `${scheme}; take jdbc: away`],
    [`postgresql+psycopg://u:${PASSWORD}@h/x`, `${scheme}; take the + away, and what follows it up to ://`],
    [
      `host=h dbname=x password=${PASSWORD}`,
      `${scheme}; write what stands here as postgres://user:password@host:port/database`,
    ],
    [
      `Server=h;Password=${PASSWORD}`,
      `${scheme}; write what stands here as postgres://user:password@host:port/database`,
    ],
    [`postgres://ada:${PASSWORD}@h:port`, form],
    [`postgres://ada:${PASSWORD}@h/1/2`, form],
    [`postgres://ada:${PASSWORD}@h h`, form],
    [`postgres://ada%3A${PASSWORD}%3A12/x`, form],
    [`postgres:///x?host=${PASSWORD}:12`, form],
    [`postgres://ada:${PASSWORD}@h%20h`, form],
    [`postgres://ada:${PASSWORD}@h#${PASSWORD}`, form],
    [`postgres://ada:${PASSWORD}@h/x?sslmode`, form],
    [`postgres://ada:${PASSWORD}@a:5432,b:5432/x`, several],
    [`postgres://ada:${PASSWORD}@a,b/x?target_session_attrs=any`, several],
    [`postgres:///x?host=a,b&password=${PASSWORD}`, several],
    [
      `postgres:///x?password=${PASSWORD}&host=/run/postgresql/.s.PGSQL.5432`,
      "names the socket itself: name its folder, and the number at its end as the port",
    ],
    [`postgres://ada:${PASSWORD}@h:65536`, "names a port that is not from 1 to 65535"],
    [`postgres://h?port=x&password=${PASSWORD}`, "names a port that is not from 1 to 65535"],
    [`postgres://ada:${PASSWORD}%zz@h`, percent],
    [`postgres://h/x?password=${PASSWORD}%`, percent],
    [`postgres://ada%00database:${PASSWORD}@h`, "holds %00, which no name and no password has"],
    [
      `postgres://ada:${PASSWORD}@h/x?sslmode=prefer`,
      "has sslmode=prefer, which promises nothing: write require, or disable",
    ],
    [
      `postgres://ada:${PASSWORD}@h/x?sslmode=allow`,
      "has sslmode=allow, which promises nothing: write require, or disable",
    ],
    [
      `postgres://h/x?sslmode=${PASSWORD}`,
      "has an sslmode that there is not: write disable, require, verify-ca, verify-full, no-verify",
    ],
    [`postgres://h/x?ssl=${PASSWORD}`, "has an ssl that is neither true nor false: write sslmode=require"],
    [
      `postgres://h/x?sslmode=disable&ssl=false&sslmode=require&password=${PASSWORD}`,
      "says twice whether TLS is used, and not the same; keep one",
    ],
    [
      `postgres://h/x?ssl=false&sslmode=require&password=${PASSWORD}`,
      "says twice whether TLS is used, and not the same; keep one",
    ],
    [`postgres://ada:${PASSWORD}@h/x?schema=public`, `has schema: ${inTable}`],
    [`postgres://ada:${PASSWORD}@h/x?search_path=${PASSWORD}`, `has search_path: ${inTable}`],
    [`postgres://ada:${PASSWORD}@h/x?options=endpoint%3D${PASSWORD}`, `has options: ${atRole}`],
    [
      `postgres://ada:${PASSWORD}@h/x?statement_timeout=5`,
      "has statement_timeout: take it away; tokenizer.store_timeout ends what takes too long",
    ],
    [
      `postgres://ada:${PASSWORD}@h/x?target_session_attrs=standby`,
      "has target_session_attrs for a server that may be a standby: sessions are written, so name the primary, and take it away",
    ],
    [`postgres://ada:${PASSWORD}@h/x?sslaccept=strict`, "has sslaccept, which is not known here: take it away"],
    // The rest of a password, perhaps.
    [`postgres://ada:1?canary=1@h/x`, unknown],
    [`postgres://ada:1?${PASSWORD}=1@h/x`, unknown],
    [`postgres://h/x?canary-7391=1`, unknown],
  ])("%s", (url, message) => {
    const text = `${section("type: postgres")}\n  url: ${JSON.stringify(url)}\n`;
    for (const result of [
      postgres({ url }),
      loadingText(text),
      loadingText(section("type: postgres"), { TOKENIZER_URL: url }),
      // What depends on it is not told besides.
      postgres({ url, options: { ca: "pem" } }),
    ]) {
      expect(result.error?.faults.map(({ message: told }) => told)).toEqual([message]);
      expect(result.error?.code).toBe("SETTINGS_INVALID");
      expect(inspect(result.error, { depth: 9, showHidden: true })).not.toContain("7391");
    }
    expect(paths(loadingText(section("type: postgres"), { TOKENIZER_URL: url }))).toEqual(["TOKENIZER_URL"]);
  });

  test("with the sample of Supabase in the password's place", () => {
    const result = postgres({ url: "postgresql://postgres:[YOUR-PASSWORD]@db.x.supabase.co:5432/postgres" });
    expect(paths(result)).toEqual(["tokenizer.password"]);
    expect(result.error?.message).toContain("is a variable or a placeholder that nobody filled in");
  });

  test("without type: postgres, or with another", () => {
    const url = `postgres://ada:${PASSWORD}@h/x`;
    const missing = loading({ tokenizer: { safe_password: GOOD_PASSWORD, url } });
    expect(missing.error?.faults).toEqual([
      { path: "tokenizer.type", message: "is missing; this url needs type: postgres" },
    ]);
    const redis = loading({ tokenizer: { type: "redis", safe_password: GOOD_PASSWORD, url } });
    expect(paths(redis)).toEqual(["tokenizer.url"]);
    expect(redis.error?.message).toContain("this one needs type: postgres");
    expect(redis.error?.message).not.toContain("7391");
  });
});

describe("what contradicts a url is refused", () => {
  const url = `postgres://ada:${PASSWORD}@h:5433/x?sslmode=no-verify&sslrootcert=/etc/ca.pem`;
  const twice = "stands beside url, which says it; keep one";
  const contradicts = "contradicts url, which says it; leave this out, or change the url";

  test.each<[string, Tokenizer, string]>([
    ["host", { host: "localhost" }, twice],
    ["port", { port: 5432 }, twice],
    ["username", { username: "ada" }, twice],
    ["password", { password: "x" }, twice],
    ["password_file", { password_file: "x" }, twice],
    ["database", { database: "y" }, twice],
    ["options.ssl", { options: { ssl: false } }, contradicts],
    ["options.verify", { options: { verify: true } }, contradicts],
    ["options.ca", { options: { ca: "/other.pem" } }, contradicts],
  ])("%s", (key, beside, message) => {
    const result = postgres({ url, ...beside });
    expect(result.error?.faults).toEqual([{ path: `tokenizer.${key}`, message }]);
    expect(inspect(result.error, { depth: 9 })).not.toContain("7391");
  });
});

describe("TOKENIZER_URL wins over what the file says of the same", () => {
  const file = section(
    ...["type: postgres", "host: a", "port: 1", "username: bob", "password: x", "database: b"],
    "options: { ssl: true, verify: false, ca: pem }",
  );

  test("all of it", () => {
    const TOKENIZER_URL = "postgres://ada:secret@h:5433/x?sslmode=require";
    const { settings, error } = loadingText(file, { TOKENIZER_URL });
    expect(error).toBeUndefined();
    const expected = { host: "h", port: 5433, username: "ada", password: "secret", database: "x" };
    expect(settings?.tokenizer).toMatchObject({ ...expected, options: { ssl: true, ca: "pem" } });
  });

  test("but not over what it leaves out, except for another host's port", () => {
    const { settings, error } = loadingText(file, { TOKENIZER_URL: "postgres://h" });
    expect(error).toBeUndefined();
    expect(settings?.tokenizer).toMatchObject({ host: "h", username: "bob", password: "x", database: "b" });
    expect(settings?.tokenizer.options).toEqual({ ssl: true, verify: false, ca: "pem" });
    expect(settings?.tokenizer).not.toHaveProperty("port");
  });

  test("nor over other variables, which contradict it", () => {
    const result = loadingText(file, { TOKENIZER_URL: "postgres://h", TOKENIZER_HOST: "b" });
    expect(paths(result)).toEqual(["TOKENIZER_HOST"]);
  });
});

describe("what is no server's name, where one belongs", () => {
  test.each([
    [`postgres://ada:${PASSWORD}@h/x`, "found a URL: write it as tokenizer.url, in place of host, port, username and"],
    [`ada:${PASSWORD}@h`, "found a login before the host: write it as tokenizer.username and tokenizer.password"],
    ["[::1]:5432", "found an address in brackets: leave them out here, as in ::1, and give the port in tokenizer.port"],
    ["a,b", "names several hosts: name the one that always leads to the primary"],
    ["/run/postgresql/.s.PGSQL.5432", "names the socket itself: name its folder, and the number at its end as the"],
    ["h:5432", 'found the text "h:5432"; give the port in tokenizer.port'],
    ["h h", "found the text \"h h\"; allowed: postgres: the server's name or address, without a port, or a socket's"],
  ])("host: %s", (host, message) => {
    for (const result of [postgres({ host }), loadingText(section("type: postgres"), { TOKENIZER_HOST: host })]) {
      expect(result.error?.faults).toHaveLength(1);
      expect(result.error?.faults[0]?.message.replace('found "', 'found the text "')).toContain(message);
      expect(inspect(result.error, { depth: 9 })).not.toContain("7391");
    }
  });

  test("but the folder of a socket is one", () => {
    expect(postgres({ host: "/cloudsql/project:region:1" }).error).toBeUndefined();
  });
});

describe("a file that every user can read, with a url", () => {
  test.each([
    ["that holds a password, is warned of", `postgres://ada:${PASSWORD}@h`, 1],
    ["that holds one as a parameter, too", `postgres://h/x?password=${PASSWORD}`, 1],
    ["that holds none, is not", "postgres://h/x?sslmode=require", 0],
  ])("%s", (_name, url, count) => {
    const text = `authenticator: { type: ldap }\ntokenizer: { type: postgres, url: "${url}" }\n`;
    const { warnings, error } = loading(writeSettings(text, 0o644), { TOKENIZER_COOKIE_SECRET: GOOD_PASSWORD });
    expect(error).toBeUndefined();
    expect(warnings).toHaveLength(count);
  });
});
