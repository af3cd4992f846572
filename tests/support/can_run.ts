/** Whether a program that a test needs is on this machine. */

/** Runs a program; whether it ended well. A program that is not there, or may not run, cannot. */
export async function canRun(program: string, args: readonly string[]): Promise<boolean> {
  try {
    const { success } = await new Deno.Command(program, {
      args: [...args],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).output();
    return success;
  } catch {
    return false;
  }
}
