/** What a secret looks like where it was not meant to be: as it is, or encoded. */
export function encodings(secret: string): Buffer[] {
  const bytes = Buffer.from(secret);
  const texts = [bytes.toString("hex"), bytes.toString("hex").toUpperCase()];
  for (const alphabet of ["base64", "base64url"] as const) {
    // What stands before it decides on which of three boundaries it begins; its first and last letters mix with others.
    for (const offset of [0, 1, 2]) {
      const text = Buffer.concat([Buffer.alloc(offset), bytes])
        .toString(alphabet)
        .replace(/=+$/, "");
      texts.push(text.slice(offset === 0 ? 0 : offset + 1, -1));
    }
  }
  return [bytes, Buffer.from(secret, "utf16le"), ...texts.map((text) => Buffer.from(text))];
}
