// Node as jest has it, but scrypt is reckoned once for each password and salt in each of jest's processes: it is slow on
// purpose, and hundreds of specs start an application with the same `safe_password`. What it answers stays true.
import crypto from "node:crypto";
import { TestEnvironment } from "jest-environment-node";

const { scrypt } = crypto;
const derived = new Map();

crypto.scrypt = (password, salt, bytes, ...rest) => {
  const callback = rest.pop();
  const key = JSON.stringify([password, salt, bytes, rest]);
  if (!derived.has(key)) derived.set(key, derive(password, salt, bytes, ...rest));
  derived.get(key).then(
    // A copy, since it is the caller's; and called out of the promise, whose rejection is not the caller's.
    (secret) => setImmediate(callback, null, Buffer.from(secret)),
    (error) => setImmediate(callback, error),
  );
};

function derive(...given) {
  return new Promise((resolve, reject) => {
    scrypt(...given, (error, secret) => (error ? reject(error) : resolve(secret)));
  });
}

export default TestEnvironment;
