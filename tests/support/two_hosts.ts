/**
 * Two hosts on one machine: network namespaces with a cable between them and names of their own. Ranks
 * between them talk over TCP.
 */

import { canRun } from "./can_run.ts";
import type { Mpi, MpirunOptions } from "./mpirun.ts";
import { tempFolder } from "./temp_folder.ts";

const ADDRESSES = ["10.98.7.1", "10.98.7.2"];

/** Two hosts, and how ranks are started on them. */
export interface TwoHosts extends AsyncDisposable {
  /** For `mpirun` with two ranks, one on each host. */
  options(mpi: Mpi): Pick<MpirunOptions, "by" | "flags" | "env">;
  /** Pulls the cable. */
  cut(): Promise<void>;
  /** Ends what still runs on them, such as a daemon that waits for the other host. */
  stop(): Promise<void>;
}

/** Whether this process may make such hosts: root with CAP_NET_ADMIN and CAP_SYS_ADMIN. */
export async function canMakeHosts(): Promise<boolean> {
  const name = `ortune-try-${Deno.pid}`;
  return await canRun("unshare", ["--uts", "true"]) && await canRun("ip", ["netns", "add", name]) &&
    await canRun("ip", ["netns", "del", name]);
}

/** Makes the hosts; dispose of them to take them down. */
export async function twoHosts(): Promise<TwoHosts> {
  const [first, second] = ["a", "b"].map((each) => `ortune-${each}-${Deno.pid}`);
  const cables = [`oa${Deno.pid}`, `ob${Deno.pid}`];
  await ip(`netns add ${first}`);
  await ip(`netns add ${second}`);
  await ip(`link add ${cables[0]} netns ${first} type veth peer name ${cables[1]} netns ${second}`);
  for (const [at, host] of [first, second].entries()) {
    await ip(`-n ${host} addr add ${ADDRESSES[at]}/24 dev ${cables[at]}`);
    await ip(`-n ${host} link set ${cables[at]} up`);
    await ip(`-n ${host} link set lo up`);
  }
  // UCX uses no device before it is up, which takes a moment after both ends are.
  for (const [at, host] of [first, second].entries()) {
    while (!(await ip(`-n ${host} -br link show dev ${cables[at]}`)).includes(" UP ")) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  const folder = await tempFolder();
  // Takes the place of ssh: options, host, command.
  const agent = await folder.write(
    "agent.sh",
    `#!/bin/sh
while case "$1" in -*) true ;; *) false ;; esac; do shift; done
shift
exec ${inside(second).join(" ")} sh -c 'hostname host-b; exec sh -c "$*"' sh "$@"
`,
  );
  await Deno.chmod(agent, 0o755);
  const hosts = ADDRESSES.join();
  const stop = async (): Promise<void> => {
    for (const host of [first, second]) {
      for (const pid of (await ip(`netns pids ${host}`)).split("\n").filter(Boolean)) {
        try {
          Deno.kill(Number(pid), "SIGKILL");
        } catch {
          // It has ended meanwhile.
        }
      }
    }
  };
  return {
    options: ({ name }) => ({
      by: [...inside(first), "sh", "-c", 'hostname host-a; exec "$@"', "sh"],
      flags: name === "MPICH"
        ? ["-launcher", "rsh", "-launcher-exec", agent, "-hosts", hosts]
        : ["--mca", "plm_rsh_agent", agent, "--mca", "btl", "tcp,self", "-host", hosts],
      // Both hosts have one memory, which UCX finds out.
      env: { UCX_TLS: "tcp,self" },
    }),
    async cut(): Promise<void> {
      await ip(`-n ${first} link set ${cables[0]} down`);
    },
    stop,
    async [Symbol.asyncDispose](): Promise<void> {
      await stop();
      await ip(`netns del ${first}`);
      await ip(`netns del ${second}`);
      await folder[Symbol.asyncDispose]();
    },
  };
}

function inside(host: string): string[] {
  return ["ip", "netns", "exec", host, "unshare", "--uts"];
}

async function ip(args: string): Promise<string> {
  const output = await new Deno.Command("ip", { args: args.split(" ") }).output();
  const [stdout, stderr] = [output.stdout, output.stderr].map((each) =>
    new TextDecoder().decode(each)
  );
  if (output.success) return stdout;
  throw new Error(`Cannot run ip ${args}: ${stderr}`);
}
