/** The program that a variable tells the specs of, found as `findNeeds` finds it; undefined where there is none. */
export function findProgram(variable: string): string | undefined;
