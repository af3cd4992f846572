import assert from "node:assert/strict";
import type { Command } from "commander";
import { type CommandContext, executeCommand } from "./run_command.ts";
import { UsageError } from "../../internal/usage_error.ts";
import { count } from "../arguments/flag_values.ts";

interface Flags {
  readonly batchSize: number;
  readonly system?: string;
  readonly packing?: boolean;
}

/** Runs a command with two flags; answers its exit code, what it printed and what it was given. */
async function execute(
  args: readonly string[],
  run: (context: CommandContext<Flags>) => Promise<void> | void = () => {},
  rank?: number,
): Promise<{ code: number; printed: string; options?: Flags }> {
  let printed = "";
  let options: Flags | undefined;
  const code = await executeCommand<Flags>({
    name: "deno task try",
    description: "Tries.",
    flags: (command: Command) =>
      command.option("--batch-size <n>", "rows", count, 2).option("--system <text>", "prompt")
        .option("--packing", "packs"),
    rank,
    run: async (context) => {
      options = context.options;
      await run(context);
    },
  }, { args, printError: (text) => printed += text });
  return { code, printed, options };
}

Deno.test("executeCommand() takes flags in kebab-case and in snake_case, values untouched", async () => {
  for (const args of [["--batch-size", "3"], ["--batch_size=3"], ["--batch_size", "3"]]) {
    assert.deepEqual(await execute(args), { code: 0, printed: "", options: { batchSize: 3 } });
  }
  const { options } = await execute(["--system=be_brief --or_not", "--packing"]);
  assert.deepEqual(options, { batchSize: 2, system: "be_brief --or_not", packing: true });
});

Deno.test("executeCommand() answers 1 for a failure, 2 for a wrong use of flags", async () => {
  const fail = (error: unknown) => (): void => {
    throw error;
  };
  assert.deepEqual(await execute([], fail(new RangeError("Cannot do it: no; do that"))), {
    code: 1,
    printed: "error: Cannot do it: no; do that\n",
    options: { batchSize: 2 },
  });
  const { code, printed } = await execute([], fail(new UsageError("Cannot both: leave one out")));
  assert.deepEqual([code, printed], [2, "error: Cannot both: leave one out\n"]);
  assert.equal((await execute([], fail("text"))).printed, "error: text\n");
  assert.equal((await execute(["--nothing"])).code, 2);
});

Deno.test("of processes that were started together the first one tells of wrong flags, each of its own faults", async () => {
  const wrong = ["--nothing"];
  assert.match((await execute(wrong, undefined, 0)).printed, /^error: unknown option '--nothing'/);
  const fail = (error: Error) => (): void => {
    throw error;
  };
  const [flag, usage, own] = await Promise.all([
    execute(wrong, undefined, 1),
    execute([], fail(new UsageError("Cannot both: leave one out")), 1),
    execute([], fail(new Error("Cannot read it here")), 1),
  ]);
  assert.deepEqual([flag.code, flag.printed], [2, ""]);
  assert.deepEqual([usage.code, usage.printed], [2, ""]);
  assert.deepEqual([own.code, own.printed], [1, "error: Cannot read it here\n"]);
});

Deno.test("executeCommand() explains a missing permission, also beneath another error", async () => {
  const denied = new Deno.errors.NotCapable(
    'Requires read access to "/etc/a", run again with the --allow-read flag',
  );
  const expected =
    'error: Cannot read "/etc/a": the task may not; deno.json says which of models, data and ' +
    "output it may; for others run the script with deno run and --allow-read for them\n";
  for (const error of [denied, new Error("a.jsonl: cannot open the file", { cause: denied })]) {
    const { code, printed } = await execute([], () => {
      throw error;
    });
    assert.deepEqual([code, printed], [1, expected]);
  }
});

Deno.test("executeCommand() says which host a task may not reach, and how to allow it", async () => {
  const denied = new Deno.errors.NotCapable(
    'Requires net access to "store.example:443", run again with the --allow-net flag',
  );
  const { code, printed } = await execute([], () => {
    throw new Error("Cannot push", { cause: denied });
  });
  assert.equal(code, 1);
  assert.equal(
    printed,
    "error: Cannot connect to store.example:443: the task may not; deno.json says which hosts it " +
      "may reach; for others run the script with deno run and --allow-net=store.example:443 besides\n",
  );
});

Deno.test(
  "executeCommand() turns a signal into an abort and 130, whether the command returns or throws",
  {
    ignore: Deno.build.os === "windows",
  },
  async () => {
    const interrupted = (signal: AbortSignal): Promise<void> =>
      new Promise((resolve) => {
        // Listening for a signal alone does not keep the event loop going.
        const alive = setInterval(() => {}, 1000);
        signal.addEventListener("abort", () => {
          clearInterval(alive);
          resolve();
        });
        // Deno's test runner keeps SIGINT to itself; tests/interrupt_test.ts sends that.
        Deno.kill(Deno.pid, "SIGTERM");
      });
    const returns = await execute([], ({ signal }) => interrupted(signal));
    const throws = await execute([], async ({ signal }) => {
      await interrupted(signal);
      signal.throwIfAborted();
    });
    for (const { code, printed } of [returns, throws]) assert.deepEqual([code, printed], [130, ""]);
    // What fails for another reason says so.
    const fails = await execute([], async ({ signal }) => {
      await interrupted(signal);
      throw new Error("Cannot save: no");
    });
    assert.deepEqual([fails.code, fails.printed], [1, "error: Cannot save: no\n"]);
  },
);

Deno.test({
  name: "executeCommand() takes a SIGTERM right behind another for the same end",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    let aborts = 0;
    const { code, printed } = await execute([], async ({ signal }) => {
      signal.addEventListener("abort", () => aborts++);
      for (const name of ["SIGTERM", "SIGTERM", "SIGHUP"] as const) {
        Deno.kill(Deno.pid, name);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    });
    // A second one that counted would have ended this process.
    assert.deepEqual([code, printed, aborts], [130, "", 1]);
  },
});
