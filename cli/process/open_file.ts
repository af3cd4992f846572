/** Opens a file that a flag names. In: its path and what is in it. Out: the file, or what is wrong. */

/**
 * Opens a file to read.
 *
 * @param holds what is read from it, for the error
 * @throws {Error} where there is no file
 */
export async function openFile(path: string, holds: string): Promise<Deno.FsFile> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new Error(`Cannot read ${holds}: there is no file ${path}`, { cause });
  }
  if (!(await file.stat()).isDirectory) return file;
  file.close();
  throw new Error(`Cannot read ${holds}: ${path} is a folder; give a file`);
}
