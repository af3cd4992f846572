/**
 * A hub to push to. In: an answer for chosen requests. Out: two servers, the hub and the store of its
 * large files, and what both were sent.
 */

import { createHash } from "node:crypto";

/** A request as it came. */
export interface UploadRequest {
  readonly host: "hub" | "store";
  readonly method: string;
  readonly path: string;
  readonly authorization: string | null;
  readonly body: Uint8Array;
}

/** A running stand-in. */
export interface UploadStub extends AsyncDisposable {
  readonly endpoint: string;
  readonly requests: UploadRequest[];
  /** Files of the last commit by path: bytes, or the sha256 of what lies in the store. */
  readonly committed: Map<string, Uint8Array>;
}

/** Starts a stand-in; `refuse` answers a request in place of the hub. */
export function startUploadHub(
  refuse: (path: string) => Response | undefined = () => undefined,
): UploadStub {
  const requests: UploadRequest[] = [];
  const committed = new Map<string, Uint8Array>();
  const stored = new Map<string, Uint8Array>();
  const stop = new AbortController();
  const options = { hostname: "127.0.0.1", port: 0, signal: stop.signal, onListen() {} };
  const take = async (host: "hub" | "store", request: Request): Promise<UploadRequest> => {
    const { pathname: path } = new URL(request.url);
    const body = await request.bytes();
    const authorization = request.headers.get("authorization");
    requests.push({ host, method: request.method, path, authorization, body });
    return requests.at(-1)!;
  };
  const store = Deno.serve(options, async (request): Promise<Response> => {
    const { path, body } = await take("store", request);
    stored.set(path.slice(1), body);
    return new Response();
  });
  const address = ({ addr }: typeof store) => `http://127.0.0.1:${addr.port}`;
  const hub = Deno.serve(options, async (request): Promise<Response> => {
    const { path, body } = await take("hub", request);
    const refused = refuse(path);
    if (refused) return refused;
    const text = new TextDecoder().decode(body);
    if (path.includes("/preupload/")) {
      const { files } = JSON.parse(text) as { files: { path: string }[] };
      const mode = (name: string) => name.endsWith(".safetensors") ? "lfs" : "regular";
      return Response.json({
        files: files.map(({ path }) => ({ path, uploadMode: mode(path), shouldIgnore: false })),
      });
    }
    if (path.endsWith("/objects/batch")) {
      const { objects } = JSON.parse(text) as { objects: { oid: string }[] };
      return Response.json({
        transfer: "basic",
        objects: objects.map((each) => ({
          ...each,
          actions: { upload: { href: `${address(store)}/${each.oid}` } },
        })),
      });
    }
    if (path.includes("/commit/")) {
      committed.clear();
      for (const { key, value } of text.trim().split("\n").map((line) => JSON.parse(line))) {
        if (key === "file") committed.set(value.path, Uint8Array.fromBase64(value.content));
        if (key !== "lfsFile") continue;
        const bytes = stored.get(value.oid);
        const sha256 = bytes && createHash("sha256").update(bytes).digest("hex");
        if (sha256 !== value.oid) return Response.json({ error: "not stored" }, { status: 400 });
        committed.set(value.path, bytes!);
      }
      return Response.json({
        commitUrl: address(store),
        commitOid: "0".repeat(40),
        hookOutput: "",
      });
    }
    return Response.json({ url: address(store) });
  });
  return {
    endpoint: address(hub),
    requests,
    committed,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await Promise.all([hub.finished, store.finished]);
    },
  };
}
