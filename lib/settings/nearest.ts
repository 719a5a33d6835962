/** Names the right key for a wrong one. */

/** More of a name is not compared: no right one is that long, and a wrong one may be a whole file's text. */
const LONGEST = 100;

const plain = (name: string): string => name.slice(0, LONGEST).toLowerCase().replaceAll("-", "_");

/** How many letters two names may differ by to be taken for the same one misspelt: a third, of short ones up to a half. */
const allowance = (name: string): number =>
  Math.max(Math.min(2, Math.floor(name.length / 2)), Math.floor(name.length / 3));

/** Shorter ones are part of too much. */
const SHORTEST_PART = 4;

/** What was probably meant by a name, or `undefined` when nothing is that near. */
export function misspelt(name: string, names: readonly string[]): string | undefined {
  return nearest(name, names, allowance(plain(name))) ?? oneWith(name, names);
}

/** Ends the sentence about an unknown name: `; did you mean …?`, or nothing, where that would be a guess. */
export function didYouMean(name: string, names: readonly string[]): string {
  const meant = misspelt(name, names);
  return meant === undefined ? "" : `; did you mean ${meant}?`;
}

/** The one name that has this in it: `region` is `aws_region_name`. */
function oneWith(name: string, names: readonly string[]): string | undefined {
  if (name.length < SHORTEST_PART) return undefined;
  const having = names.filter((candidate) => plain(candidate).includes(plain(name)));
  return having.length === 1 ? having[0] : undefined;
}

/** The first of those that the name differs from least, if that is at most `most` letters. */
function nearest(name: string, names: readonly string[], most: number): string | undefined {
  const written = plain(name);
  const distances = names.map((candidate) => distance(written, plain(candidate)));
  const least = Math.min(...distances);
  return least <= most ? names[distances.indexOf(least)] : undefined;
}

/** Levenshtein's: how many letters must be put in, left out or changed until one text is the other. */
export function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, column) => column);
  for (let line = 0; line < one.length; line++) {
    const next = [line + 1];
    for (let column = 0; column < other.length; column++) {
      const changed = (row[column] as number) + (one[line] === other[column] ? 0 : 1);
      next.push(Math.min(changed, (row[column + 1] as number) + 1, (next[column] as number) + 1));
    }
    row = next;
  }
  return row[other.length] as number;
}
