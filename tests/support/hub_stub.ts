/**
 * A hub of one's own, with faults.
 *
 * In: files, and a function that chooses a fault for each request. Out: two servers on this machine,
 * the hub and another host that it may redirect to, and a log of what both were asked.
 */

import { createHash } from "node:crypto";

/** What goes wrong with a request for a file. */
export type Fault =
  | "cut"
  | "broken"
  | "corrupt"
  | "longer"
  | "stall"
  | "silence"
  | "403"
  | "404"
  | "416"
  | "429"
  | "500"
  | "503"
  | "redirect"
  | "redirect to file"
  | "redirect loop"
  | "wrong range"
  | "ignored range"
  | "changed";

/** A request as it came. */
export interface LoggedRequest {
  readonly host: "hub" | "elsewhere";
  readonly path: string;
  readonly headers: Headers;
  readonly fault: Fault | undefined;
}

/** A running stand-in. */
export interface HubStub extends AsyncDisposable {
  /** Address of the hub. */
  readonly endpoint: string;
  /** Address of the other host. */
  readonly elsewhere: string;
  readonly requests: LoggedRequest[];
  /** Files by path; may be changed between requests. */
  readonly files: Map<string, Uint8Array>;
  /** Chooses the fault of a request; `file` is undefined for listings. */
  fault: (file: string | undefined) => Fault | undefined;
  /** Changes an entry of the listing, which is as the service gives it. */
  listed: (entry: Record<string, unknown>) => Record<string, unknown>;
}

const COMMIT = "0123456789abcdef0123456789abcdef01234567";

/** Starts a stand-in that answers as both services do. */
export function startHub(files: Readonly<Record<string, string | Uint8Array>>): HubStub {
  const stop = new AbortController();
  const encoder = new TextEncoder();
  const stub = {
    requests: [] as LoggedRequest[],
    files: new Map(
      Object.entries(files).map((
        [path, data],
      ) => [path, typeof data === "string" ? encoder.encode(data) : data]),
    ),
    fault: (_file: string | undefined): Fault | undefined => undefined,
    listed: (entry: Record<string, unknown>): Record<string, unknown> => entry,
  };
  const serve = (host: "hub" | "elsewhere"): Deno.HttpServer<Deno.NetAddr> =>
    Deno.serve({
      hostname: "127.0.0.1",
      port: 0,
      signal: stop.signal,
      onListen: () => {},
      onError: () => new Response(null, { status: 500 }),
    }, (request) => answer(request, host));
  const servers = { hub: serve("hub"), elsewhere: serve("elsewhere") };
  const address = (host: "hub" | "elsewhere"): string =>
    `http://127.0.0.1:${servers[host].addr.port}`;

  function answer(request: Request, host: "hub" | "elsewhere"): Response | Promise<Response> {
    const url = new URL(request.url);
    const path = `${url.pathname}${url.search}`;
    const file = url.searchParams.get("FilePath") ??
      /\/resolve\/[^/]+\/(.+)$/.exec(decodeURIComponent(url.pathname))?.[1];
    const fault = stub.fault(file);
    stub.requests.push({ host, path, headers: request.headers, fault });
    if (fault !== undefined && /^\d+$/.test(fault)) {
      return new Response("no", { status: Number(fault), headers: { "retry-after": "0" } });
    }
    if (fault === "silence") return new Promise(() => {});
    if (fault === "redirect" && host === "hub") {
      return Response.redirect(`${address("elsewhere")}${path}`, 302);
    }
    if (fault === "redirect to file") {
      return new Response(null, { status: 302, headers: { location: "file:///etc/passwd" } });
    }
    if (fault === "redirect loop") return Response.redirect(request.url, 302);
    if (file === undefined) return list(url, fault);
    const data = stub.files.get(file);
    if (data === undefined) return new Response("none", { status: 404 });
    return send(request, data, fault);
  }

  function list(url: URL, fault: Fault | undefined): Response {
    if (fault === "cut" || fault === "broken") return new Response('{"sha": "01');
    if (url.pathname.includes("/revision/")) return Response.json({ sha: COMMIT });
    const entries = [...stub.files].map(([path, data]) => {
      const digest = (name: string): string => createHash(name).update(data).digest("hex");
      if (url.pathname.startsWith("/api/v1/")) {
        return stub.listed({
          Path: path,
          Type: "blob",
          Size: data.length,
          Sha256: digest("sha256"),
        });
      }
      const oid = createHash("sha1").update(`blob ${data.length}\0`).update(data).digest("hex");
      const lfs = path.endsWith(".safetensors")
        ? { lfs: { oid: digest("sha256"), size: data.length } }
        : {};
      return stub.listed({ type: "file", path, size: data.length, oid, ...lfs });
    });
    if (!url.pathname.startsWith("/api/v1/")) return Response.json(entries);
    // ModelScope lists a model at once, a dataset by pages, each at an address of its own.
    const isModel = /^\/api\/v1\/models\/[^/]+\/[^/]+\/repo\/files$/.test(url.pathname);
    const isDataset = /^\/api\/v1\/datasets\/[^/]+\/[^/]+\/repo\/tree$/.test(url.pathname);
    if (!isModel && !isDataset) return new Response("none", { status: 404 });
    const [number, size] = ["PageNumber", "PageSize"].map((name) =>
      Number(url.searchParams.get(name))
    );
    const page = isModel ? entries : entries.slice((number - 1) * size, number * size);
    return Response.json({ Data: { Files: page } });
  }

  function send(request: Request, data: Uint8Array, fault: Fault | undefined): Response {
    const etag = `"${createHash("sha1").update(data).digest("hex")}${
      fault === "changed" ? "x" : ""
    }"`;
    const headers = new Headers({ etag });
    const ifRange = request.headers.get("if-range");
    const range = fault === "ignored range" || (ifRange !== null && ifRange !== etag)
      ? null
      : /^bytes=(\d+)-$/.exec(request.headers.get("range") ?? "");
    const start = Number(range?.[1] ?? 0);
    let body = data.slice(start);
    if (range !== null) {
      const shown = fault === "wrong range" ? start + 1 : start;
      headers.set("content-range", `bytes ${shown}-${data.length - 1}/${data.length}`);
    }
    const status = range === null ? 200 : 206;
    const half = Math.ceil(body.length / 2);
    if (fault === "corrupt" && body.length > 0) body[half - 1] ^= 1;
    if (fault === "longer") body = Uint8Array.from([...body, 0]);
    if (fault !== "cut" && fault !== "broken" && fault !== "stall") {
      return new Response(body, { status, headers });
    }
    let sent = false;
    const stream = new ReadableStream<Uint8Array>({
      // The bytes go first: an error at once would take them along.
      async pull(controller): Promise<void> {
        if (!sent) controller.enqueue(body.slice(0, half));
        else if (fault === "cut") controller.close();
        else if (fault === "broken") {
          await new Promise((resolve) => setTimeout(resolve, 5));
          controller.error(new Error("broken"));
        } else await new Promise(() => {});
        sent = true;
      },
    });
    return new Response(stream, { status, headers });
  }

  return Object.assign(stub, {
    endpoint: address("hub"),
    elsewhere: address("elsewhere"),
    async [Symbol.asyncDispose](): Promise<void> {
      stop.abort();
      await Promise.all([servers.hub.finished, servers.elsewhere.finished]);
    },
  });
}

/** Files that were asked for, in their order. */
export function downloads({ requests }: Pick<HubStub, "requests">): string[] {
  return requests.flatMap(({ path }) =>
    /(?:resolve\/[^/]+\/|FilePath=)(.+)$/.exec(decodeURIComponent(path))?.[1] ?? []
  );
}
