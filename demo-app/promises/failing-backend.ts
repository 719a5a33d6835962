/** A backend of the demo's own, with `type: module`: it takes no writes while its disk is full. */

import { type BackendFactory, TokenizerError } from "express-tokenizer";
import type { Disk } from "./disk.js";

const makeBackend: BackendFactory<{ disk: Disk }> = ({ disk }, { now }) => {
  const { records } = disk;
  let isClosed = false;

  const open = async () => {
    if (isClosed) throw new TokenizerError("STORE_CLOSED", "The session store was closed.");
  };
  const writing = async () => {
    await open();
    disk.write();
  };
  const live = (key: string) => {
    const record = records.get(key);
    return record !== undefined && record.expires > now() ? record : undefined;
  };

  return {
    open,
    async read(key) {
      await open();
      return live(key);
    },
    async write(key, record, expected) {
      await writing();
      const version = expected === "absent" ? undefined : live(key)?.version;
      if (expected === "absent" ? live(key) : expected !== "any" && expected.version !== version) return false;
      records.set(key, record);
      return true;
    },
    async touch(key, expires, version) {
      await writing();
      const record = live(key);
      if (record?.version !== version) return false;
      records.set(key, { ...record, expires: Math.max(record.expires, expires) });
      return true;
    },
    async remove(key) {
      await writing();
      const wasLive = live(key) !== undefined;
      records.delete(key);
      return wasLive;
    },
    async *entries() {
      await open();
      for (const key of records.keys()) {
        const record = live(key);
        if (record !== undefined) yield { key, ...record };
      }
    },
    async prune() {
      await open();
      const expired = [...records.keys()].filter((key) => live(key) === undefined);
      for (const key of expired) records.delete(key);
      return expired.length;
    },
    async close() {
      isClosed = true;
    },
  };
};

export default makeBackend;
