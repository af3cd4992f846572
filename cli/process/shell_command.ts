/** A command as it can be pasted into a POSIX shell. In: a name and arguments. Out: one line. */

const PLAIN = /^[\w@%+=:,./-]+$/;

/** Quotes what a shell would take apart. */
export function shellCommand(name: string, args: readonly string[]): string {
  const quoted = args.map((each) => PLAIN.test(each) ? each : `'${each.replaceAll("'", "'\\''")}'`);
  return [name, ...quoted].join(" ");
}
