/**
 * The answers of the dashboard's server.
 *
 * In: a folder and requests. Out: the page, the runs below the folder, and what a run's files got
 * since the last look. The server keeps nothing between requests: a page sends its cursors.
 */

import { readUpdate } from "./dashboard_data.ts";
import { DASHBOARD_CLIENT, DASHBOARD_STYLE, renderLivePage } from "./dashboard_page.ts";
import { findRuns } from "./find_runs.ts";
import type { Cursors } from "./run_update.ts";

/** What a dashboard is made with. */
export interface DashboardOptions {
  /** The folder whose runs are shown. */
  readonly directory: string;
  /** What a request's Host header may be, such as `127.0.0.1:6006`. */
  readonly hosts: () => readonly string[];
}

const HEADERS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; " +
    "frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/**
 * Makes the handler of its requests.
 *
 * A Host that is not the server's own is refused: a page of another name that resolves to this
 * machine could otherwise read the runs.
 */
export function createDashboardHandler(
  { directory, hosts }: DashboardOptions,
): (request: Request) => Promise<Response> {
  const known = new Set<string>();
  const listRuns = async (): Promise<readonly string[]> => {
    const runs = await findRuns(directory);
    known.clear();
    for (const run of runs) known.add(run);
    return runs;
  };
  return async (request) => {
    if (!hosts().includes(request.headers.get("host") ?? "")) {
      return reply("text/plain", "Cannot answer: the Host is not this server's own\n", 403);
    }
    if (request.method !== "GET") {
      const refusal = reply("text/plain", "Cannot answer: the method is not GET\n", 405);
      refusal.headers.set("allow", "GET");
      return refusal;
    }
    const { pathname, searchParams } = new URL(request.url);
    switch (pathname) {
      case "/":
        return reply("text/html", renderLivePage());
      case "/client.js":
        return reply("text/javascript", DASHBOARD_CLIENT);
      case "/style.css":
        return reply("text/css", DASHBOARD_STYLE);
      case "/favicon.ico":
        return new Response(undefined, { status: 204, headers: HEADERS });
      case "/api/runs":
        return reply("application/json", JSON.stringify(await listRuns()));
      case "/api/run": {
        // Only names that a search of the folder gave: no path of a request reaches the disk.
        const name = searchParams.get("name") ?? "";
        if (!known.has(name) && !(await listRuns()).includes(name)) break;
        const cursors: Cursors = {
          figures: searchParams.get("figures") ?? "",
          samples: searchParams.get("samples") ?? "",
        };
        const update = await readUpdate(`${directory}/${name}`, cursors);
        return reply("application/json", JSON.stringify(update));
      }
    }
    return reply("text/plain", "Cannot find that\n", 404);
  };
}

function reply(type: string, body: string, status: number = 200): Response {
  return new Response(body, {
    status,
    headers: { ...HEADERS, "content-type": `${type}; charset=utf-8` },
  });
}
