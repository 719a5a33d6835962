// Stands before DynamoDB, asks for the capacity that each call consumed, and counts: any client's, without its knowledge.
import { createServer } from "node:http";
import { text } from "node:stream/consumers";

const READS = ["GetItem", "Scan"];

export async function startProxy(target) {
  let counts = {};
  const server = createServer(async (req, res) => {
    const action = req.headers["x-amz-target"].split(".")[1];
    const asked = { ...JSON.parse(await text(req)), ReturnConsumedCapacity: "TOTAL" };
    const headers = { ...req.headers };
    // Of the request as it was.
    for (const name of ["content-length", "connection", "host", "transfer-encoding", "expect"]) delete headers[name];
    const answer = await fetch(target, { method: "POST", headers, body: JSON.stringify(asked) });
    const body = await answer.text();
    count(action, JSON.parse(body).ConsumedCapacity?.CapacityUnits);
    res.writeHead(answer.status, { "content-type": "application/x-amz-json-1.0" }).end(body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

  function count(action, units) {
    // A condition that fails is paid for, too, but its size is told nowhere: there are none in what is measured here.
    if (units === undefined) throw new Error(`${action} told no capacity.`);
    counts[action] = (counts[action] ?? 0) + 1;
    const kind = READS.includes(action) ? "reads" : "writes";
    counts[kind] = (counts[kind] ?? 0) + units;
  }

  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** Since the last time: calls by action, and units of `reads` and `writes`. */
    take() {
      const taken = counts;
      counts = {};
      return taken;
    },
    close: () => server.close(),
  };
}
