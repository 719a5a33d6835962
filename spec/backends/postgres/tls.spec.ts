/** TLS to PostgreSQL: what is verified, and what is told where it fails. */
import { readFileSync } from "node:fs";
import { beforeAll, expect, test } from "@jest/globals";
import type { PostgresBackendOptions } from "../../../lib/backends/postgres/backend.js";
import {
  errorOf,
  type loginAt,
  makeBackend,
  record,
  refuses,
  startServing,
  untilServed,
} from "../../support/postgres-backend.js";
import { type PostgresServer, withPostgresTls } from "../../support/postgres-server.js";
import { type Certificates, makeCertificates } from "../../support/redis-server.js";
import { expectNoStrayErrors } from "../../support/stray.js";
import { TcpProxy } from "../../support/tcp-proxy.js";

expectNoStrayErrors();

withPostgresTls("TLS", () => {
  interface Serving {
    readonly server: PostgresServer;
    readonly login: ReturnType<typeof loginAt>;
  }
  let [secure, elsewhere, strict, plain]: Serving[] = [];
  let certificates: Certificates;

  beforeAll(async () => {
    certificates = makeCertificates();
    const other = { ...certificates, server: certificates.otherServer };
    [secure, elsewhere, strict, plain] = await Promise.all([
      startServing({ tls: certificates }),
      startServing({ tls: other }),
      startServing({ tls: certificates, hba: ["hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca"] }),
      startServing(),
    ]);
  });

  const at = (serving: Serving | undefined) => (serving as Serving).login;
  const tls = (options: PostgresBackendOptions["options"] = {}, host = "localhost", serving = secure) => ({
    ...at(serving),
    host,
    options: { ssl: true, ca: certificates.ca, ...options },
  });

  test.each<[string, () => Partial<PostgresBackendOptions>]>([
    ["an authority's file", () => tls()],
    ["its text", () => tls({ ca: readFileSync(certificates.ca, "utf8") })],
    ["an address that the certificate names", () => tls({}, "127.0.0.1")],
    ["another name, which it has", () => tls({ servername: "redis.example.com" }, "localhost", elsewhere)],
    ["any authority, with verify: false", () => tls({ verify: false, ca: certificates.otherCa })],
    ["any host, with verify: false", () => tls({ verify: false }, "localhost", elsewhere)],
    ["a certificate of ours", () => tls(certificates.client, "localhost", strict)],
  ])("connects: %s", async (_name, options) => {
    const { backend } = makeBackend(options());
    await backend.open();
    expect(await backend.write("key", record("x"), "any")).toBe(true);
  });

  test("the server's own word: each connection is sealed", async () => {
    const { backend } = makeBackend(tls());
    await backend.open();
    const rows = await secure?.server.sql(
      "SELECT ssl, version FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'app'",
    );
    expect(rows?.length).toBeGreaterThan(0);
    for (const row of rows ?? []) expect(row).toEqual({ ssl: true, version: "TLSv1.3" });
  });

  test.each([
    ["authority", () => tls({ ca: certificates.otherCa })],
    ["host", () => tls({}, "localhost", elsewhere)],
    ["speech", () => tls({}, "localhost", plain)],
  ])("of a wrong %s: no login is sent, and nothing in plain text", async (_fault, options) => {
    const way = options();
    const proxy = await TcpProxy.start(way.port);
    const sent: Buffer[] = [];
    proxy.onRequest = (chunk) => sent.push(chunk);
    const { backend } = makeBackend({ ...way, port: proxy.port });
    expect(await errorOf(backend.open())).toMatchObject({ code: "STORE_UNUSABLE" });
    await proxy.stop();
    const [request, ...rest] = sent;
    // Whether it speaks TLS; then TLS records: a handshake's (22), an alert's (21), or one that is sealed (20, 23).
    expect(request?.toString("hex")).toBe("0000000804d2162f");
    expect(rest.filter(([type = 0]) => type < 20 || type > 23)).toEqual([]);
    expect(Buffer.concat(sent).toString("latin1")).not.toMatch(/never to be told|SCRAM|user|postgres/);
  });

  test.each([
    ["require", true],
    ["verify-full", true],
    ["disable", false],
  ])("PGSSLMODE=%s counts where no setting says it", async (mode, isSealed) => {
    const before = { ...process.env };
    process.env.PGSSLMODE = mode;
    try {
      const options = { ca: certificates.ca };
      const { backend } = makeBackend({ ...at(isSealed ? secure : plain), host: "localhost", options });
      await backend.open();
      await untilServed(backend);
      if (!isSealed) return;
      // Verified: of another authority it is refused.
      const other = makeBackend({ ...at(secure), host: "localhost", options: { ca: certificates.otherCa } }).backend;
      expect(await errorOf(other.open())).toMatchObject({ code: "STORE_UNUSABLE" });
      // What a setting says counts more.
      const bare = makeBackend({ ...at(plain), host: "localhost", options: { ssl: false } }).backend;
      await bare.open();
    } finally {
      process.env = before;
    }
  });

  test("PGSSLMODE=prefer promises nothing, and is refused", async () => {
    const before = { ...process.env };
    process.env.PGSSLMODE = "prefer";
    try {
      const error = await errorOf(makeBackend({ ...at(plain), host: "localhost" }).backend.open());
      expect([error.code, error.message]).toEqual([
        "STORE_UNUSABLE",
        "PGSSLMODE is prefer, which promises nothing: make it require or disable, or set tokenizer.options.ssl.",
      ]);
    } finally {
      process.env = before;
    }
  });

  const untrusted =
    /^PostgreSQL at localhost:\d+ cannot be used: its certificate is not trusted \(self.signed certificate in certificate chain\)\. Name the authority that signed it in tokenizer\.options\.ca\. Where there is none to be had, tokenizer\.options\.verify: false is left: then whoever stands between can read and change sessions\.$/;

  refuses([
    ["a wrong authority", () => tls({ ca: certificates.otherCa }), "STORE_UNUSABLE", untrusted],
    ["the system's authorities", () => ({ ...tls(), options: { ssl: true } }), "STORE_UNUSABLE", untrusted],
    [
      "a host that the certificate does not name",
      () => tls({}, "localhost", elsewhere),
      "STORE_UNUSABLE",
      /^PostgreSQL at localhost:\d+ cannot be used: its certificate is not for that host \(.*localhost.*\)\. Call the host what its/,
    ],
    [
      "TLS where plain text is spoken",
      () => tls({}, "localhost", plain),
      "STORE_UNUSABLE",
      /^PostgreSQL at localhost:\d+ cannot be used: it does not speak TLS\. Take away tokenizer\.options\.ssl, sslmode in tokenizer\.url, or PGSSLMODE, if you trust the network\.$/,
    ],
    [
      "plain text where TLS is spoken",
      () => ({ ...at(secure), host: "localhost" }),
      "STORE_UNUSABLE",
      /^PostgreSQL at localhost:\d+ refused: no pg_hba\.conf entry for host "127\.0\.0\.1", user "app", database "postgres", no encryption\. If it wants TLS, set tokenizer\.options\.ssl: true, or sslmode=require in tokenizer\.url\.$/,
    ],
    [
      "no certificate of ours",
      () => tls({}, "localhost", strict),
      "STORE_UNUSABLE",
      /^PostgreSQL at localhost:\d+ refused: connection requires a valid client certificate\. It wants a certificate of ours: set tokenizer\.options\.cert and tokenizer\.options\.key\.$/,
    ],
    [
      "a certificate of ours of another authority",
      () => tls({ cert: certificates.otherCa, key: certificates.otherCa.replace(/pem$/, "key") }, "localhost", strict),
      "STORE_UNUSABLE",
      /^PostgreSQL at localhost:\d+ cannot be used: it refused our side of the TLS handshake \(ERR_SSL_\w+\)\. Check tokenizer\.options\.cert and tokenizer\.options\.key\.$/,
    ],
    [
      "a key that is not the certificate's",
      () => tls({ ...certificates.client, cert: certificates.server.cert }),
      "STORE_UNUSABLE",
      /^PostgreSQL at localhost:\d+ cannot be used: TLS failed \(ERR_OSSL_X509_KEY_VALUES_MISMATCH\)\. Check tokenizer\.options/,
    ],
    [
      "an authority that is no file",
      () => tls({ ca: "/nowhere/ca.pem" }),
      "STORE_UNUSABLE",
      /^tokenizer\.options\.ca is neither PEM nor a file that can be read \(ENOENT\)\.$/,
    ],
  ]);
});
