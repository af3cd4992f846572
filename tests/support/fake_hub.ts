/**
 * A hub without a server: the answers of Hugging Face to an injected fetch.
 *
 * In: files by path. Out: a fetch, and what was asked for.
 */

import { createHash } from "node:crypto";

/** Files, which may change between requests, and what was asked for. */
export interface FakeHub {
  readonly files: Map<string, string>;
  /** Paths of files that are listed with a SHA-256, as large ones are, and without any checksum. */
  readonly large: Set<string>;
  readonly unchecked: Set<string>;
  commit: string;
  /** Paths of the files that were fetched. */
  readonly fetched: string[];
  /** What stands in the way of a file. @default nothing */
  answer: (path: string, signal: AbortSignal) => Response | Promise<Response> | undefined;
  readonly fetch: typeof fetch;
}

/** Makes the hub. */
export function fakeHub(files: Readonly<Record<string, string>>): FakeHub {
  const hash = (algorithm: string, text: string): string =>
    createHash(algorithm).update(text).digest("hex");
  const hub: FakeHub = {
    files: new Map(Object.entries(files)),
    large: new Set(),
    unchecked: new Set(),
    commit: "0123456789abcdef0123456789abcdef01234567",
    fetched: [],
    answer: () => undefined,
    fetch: async (input, init) => {
      const { pathname } = new URL(String(input));
      if (pathname.includes("/revision/")) return Response.json({ sha: hub.commit });
      const path = /\/resolve\/[^/]+\/(.+)$/.exec(decodeURIComponent(pathname))?.[1];
      if (path === undefined) {
        return Response.json([...hub.files].map(([path, text]) => ({
          type: "file",
          path,
          size: text.length,
          ...hub.unchecked.has(path)
            ? {}
            : hub.large.has(path)
            ? { lfs: { oid: hash("sha256", text), size: text.length } }
            : { oid: hash("sha1", `blob ${text.length}\0${text}`) },
        })));
      }
      hub.fetched.push(path);
      return await hub.answer(path, init!.signal!) ?? new Response(hub.files.get(path)!);
    },
  };
  return hub;
}
