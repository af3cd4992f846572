/**
 * What a program asks of the file system that decides what outlives a lost power supply: syncs and renames, in
 * their order.
 *
 * In: nothing; it stands in for Deno's functions, and for Node's file handles, until it is disposed of. Out: a line a call.
 */

import { open as openHandle } from "node:fs/promises";
import { basename } from "node:path";

/** A record that grows. */
export interface FileRecord extends Disposable {
  /** `sync NAME` and `rename NAME to NAME`, of paths' last parts. */
  readonly calls: readonly string[];
}

/** A name without what is drawn at random. */
const nameOf = (path: string | URL): string =>
  basename(`${path}`).replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/, "RANDOM");

/** Records syncs and renames; Node's file handles do not tell their path. */
export async function recordFiles(): Promise<FileRecord> {
  const calls: string[] = [];
  const { open, rename } = Deno;
  const probe = await openHandle("/dev/null");
  const handle = Object.getPrototypeOf(probe);
  await probe.close();
  const { sync } = handle;
  Object.assign(Deno, {
    async open(...[path, options]: Parameters<typeof Deno.open>): Promise<Deno.FsFile> {
      const file = await open(path, options);
      return Object.assign(file, {
        async sync(): Promise<void> {
          await Deno.FsFile.prototype.sync.call(file);
          calls.push(`sync ${nameOf(path)}`);
        },
      });
    },
    async rename(...[from, to]: Parameters<typeof Deno.rename>): Promise<void> {
      await rename(from, to);
      calls.push(`rename ${nameOf(from)} to ${nameOf(to)}`);
    },
  });
  handle.sync = async function (): Promise<void> {
    await sync.call(this);
    calls.push("sync a handle");
  };
  return {
    calls,
    [Symbol.dispose](): void {
      Object.assign(Deno, { open, rename });
      handle.sync = sync;
    },
  };
}
