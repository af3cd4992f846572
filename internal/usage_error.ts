/** A wrong combination of options: a command exits 2 for it, as for a wrong flag. */
export class UsageError extends Error {}
