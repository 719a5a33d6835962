// dynalite, a DynamoDB in this process, with the TTL that it does not know: whether it is on, and by which attribute.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { json } from "node:stream/consumers";

/** A server that listens nowhere yet. */
export function makeDynalite({ createTableMs = 0 } = {}) {
  const dynalite = createRequire(import.meta.url)("dynalite")({ createTableMs, deleteTableMs: 0 });
  const attributes = new Map();
  return createServer((req, res) => {
    const [, action] = /\.(\w+TimeToLive)$/.exec(String(req.headers["x-amz-target"])) ?? [];
    if (action === undefined) dynalite.emit("request", req, res);
    else json(req).then((body) => answer(res, action === "UpdateTimeToLive" ? update(body) : describe(body)));
  }).on("close", () => dynalite.close());

  function describe({ TableName }) {
    const AttributeName = attributes.get(TableName);
    const TimeToLiveStatus = AttributeName === undefined ? "DISABLED" : "ENABLED";
    return { TimeToLiveDescription: { TimeToLiveStatus, AttributeName } };
  }

  function update({ TableName, TimeToLiveSpecification }) {
    if (attributes.has(TableName)) {
      return { __type: "com.amazon.coral.validate#ValidationException", message: "TimeToLive is already enabled" };
    }
    attributes.set(TableName, TimeToLiveSpecification.AttributeName);
    return { TimeToLiveSpecification };
  }
}

function answer(res, body) {
  const status = "__type" in body ? 400 : 200;
  res.writeHead(status, { "content-type": "application/x-amz-json-1.0" }).end(JSON.stringify(body));
}
