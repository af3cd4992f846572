/**
 * The GPU's tests and benches, rehearsed without a GPU: packed, unpacked into an empty home in a network namespace of
 * its own, and run down to the driver that is missing, races of a tiny model on the CPU included.
 *
 * In: unshare(1). ORTUNE_PLACEMENT, a folder of tests/placement/build_folder.ts, adds the CUDA provider; PYTHON, one
 * with torch, transformers and peft, PyTorch's contenders. `deno task test:pack`, in 2 minutes at the most.
 */

import assert from "node:assert/strict";
import { canRun } from "../support/can_run.ts";
import { repositoryPath, runDeno, type ScriptOutput } from "../support/run_script.ts";
import { tempFolder } from "../support/temp_folder.ts";

const placement = Deno.env.get("ORTUNE_PLACEMENT");
const python = Deno.env.get("PYTHON");
// What steps may take together, on a machine that has much else to do: quiet, it is a sixth of that.
const SECONDS = python ? "580" : "240";
const withoutNetwork = await findUnshare();
const driver = hasDriver();
if (!withoutNetwork) {
  console.warn(
    "rehearsal of the GPU pack skipped: unshare(1) may not make a network namespace here",
  );
}
if (driver) {
  console.warn("rehearsal of the GPU pack skipped: this machine has libcuda.so.1; run the pack");
}
if (!placement) {
  console.warn(
    "the GPU pack is rehearsed without ONNX Runtime's CUDA provider; make a folder of it with " +
      "tests/placement/build_folder.ts and name it by ORTUNE_PLACEMENT",
  );
}

async function run(command: string, args: readonly string[]): Promise<ScriptOutput> {
  const { code, stdout, stderr } = await new Deno.Command(command, { args: [...args] }).output();
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes).trim();
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** The command that takes the network from another: as root, or in a user namespace. */
async function findUnshare(): Promise<readonly string[] | undefined> {
  for (const flags of ["-rn", "-n"]) {
    if (await canRun("unshare", [flags, "true"])) return ["unshare", flags];
  }
  return undefined;
}

function hasDriver(): boolean {
  try {
    Deno.dlopen("libcuda.so.1", {}).close();
    return true;
  } catch {
    return false;
  }
}

async function pack(out: string): Promise<ScriptOutput> {
  const lib = placement ? ["--lib", placement] : [];
  return await runDeno([
    "run",
    "--allow-all",
    `--config=${repositoryPath("deno.json")}`,
    repositoryPath("bench/gpu/pack/pack.ts"),
    ...["--out", out, ...lib],
  ]);
}

/** Runs a script of the pack in an empty environment, without the network. */
async function runPack(home: string, kit: string, args: readonly string[]): Promise<ScriptOutput> {
  const [command, ...flags] = withoutNetwork!;
  return await run(command, [
    ...flags,
    "env",
    "-i",
    ...[`HOME=${home}`, `TMPDIR=${home}`, `OUT=${home}/out`, "PATH=/usr/local/bin:/usr/bin:/bin"],
    ...python ? [`PYTHON=${python}`] : [],
    ...["bash", `${kit}/run.sh`, ...args],
  ]);
}

Deno.test({
  name: "the GPU pack runs in an empty home without a network, down to the missing driver",
  ignore: !withoutNetwork || driver,
  fn: async (test) => {
    await using folder = await tempFolder();
    const [packed, home, kit] = ["packed", "home", "home/kit"].map((name) =>
      `${folder.path}/${name}`
    );

    await test.step("it is packed", async () => {
      const { code, stderr } = await pack(packed);
      assert.equal(code, 0, stderr);
      const lib = Array.from(Deno.readDirSync(`${packed}/lib`), ({ name }) => name);
      assert.ok(lib.includes("libonnxruntime.so"));
      assert.equal(lib.includes("libonnxruntime_providers_cuda.so"), !!placement, stderr);
      assert.ok(!lib.includes("libcuda.so.1"), "stand-ins for CUDA must not be packed");
      for (const { name } of Deno.readDirSync(`${packed}/js`)) {
        const text = Deno.readTextFileSync(`${packed}/js/${name}`);
        assert.ok(!text.includes(repositoryPath("")), `${name} names the repository's folder`);
      }
    });

    await Deno.mkdir(kit, { recursive: true });
    const copied = await run("bash", [
      "-c",
      'tar cf - -C "$1" . | tar xf - -C "$2"',
      "-",
      packed,
      kit,
    ]);
    assert.equal(copied.code, 0, copied.stderr);
    await Deno.remove(packed, { recursive: true });

    const { code, stdout, stderr } = await runPack(home, kit, [SECONDS, ".", "--rehearse"]);
    const summary = stdout.slice(stdout.lastIndexOf("================ summary"));
    console.log(summary);
    const came = (name: string): string =>
      summary.split("\n").find((line) => line.slice(8).startsWith(`${name}: `)) ?? `no ${name}`;

    await test.step("it ends with exit code 1 and a summary", () => {
      assert.equal(code, 1, stderr);
      assert.match(summary, /\n\d+ ok, \d+ failed, \d+ skipped$/);
      assert.doesNotMatch(summary, /no time left/);
    });

    for (const name of ["probe", "device", "large workspace"]) {
      await test.step(`${name} names the missing driver`, () =>
        assert.match(
          came(name),
          /^FAILED .* exit code 1: error: .*Cannot use device cuda:0: NVIDIA's driver library libcuda\.so\.1 is missing/,
        ));
    }
    await test.step("the machine's libraries are looked at", () =>
      assert.match(
        came("machine"),
        placement
          ? /^FAILED .* the CUDA provider does not find .*\blibcuda\.so\.1\b/
          : /^FAILED .*libonnxruntime_providers_cuda\.so is missing: pack again with --lib DIR/,
      ));
    await test.step("kernels name the missing driver, or the compiler", () => {
      assert.match(came("bench kernels"), /^FAILED .* exit code 1: .*libcuda\.so\.1/);
      assert.match(came("kernels"), /^FAILED .*attention.*: exit code 1: .*lib(?:cuda|nvrtc)\.so/);
    });

    await test.step("webgpu is measured, or its driver named as missing", () =>
      assert.match(
        came("webgpu"),
        /^(?:ok |FAILED .* exit code 1: error: Cannot use device webgpu: )/,
      ));

    await test.step("races run, and say who is left out", async () => {
      for (const name of ["weights", "full 1.7B", "lora 1.7B", "more 1.7B", "0.6B", "seed 1.7B"]) {
        assert.match(came(name), /^ok /);
      }
      const full = await Deno.readTextFile(`${home}/out/5_full.txt`);
      assert.match(
        full,
        /\| tiny \| full \| ortune fp32, nothing recomputed \| [\d,]+ \|.*\| {2}\|/,
      );
      const lora = await Deno.readTextFile(`${home}/out/6_lora.txt`);
      assert.match(lora, /\| tiny \| lora \| ortune as the seed \| [\d,]+ \|.*\| {2}\|/);
      assert.match(full, /\| torch, packed \| (?:[\d,]+ \|.*\| {2}\||.* \| skipped: .* \|)/);
    });

    await test.step("it leaves 8 logs at the most", () => {
      const logs = Array.from(Deno.readDirSync(`${home}/out`), ({ name }) => name);
      assert.ok(logs.length > 0 && logs.length <= 8, logs.join());
    });

    await test.step("steps that do not exist are told with those that do", async () => {
      const { code, stderr } = await runPack(home, kit, ["20", "nothing like it"]);
      assert.match(stderr, /^error: Cannot choose steps: .* matches none of machine; probe; /);
      assert.equal(code, 2);
    });
  },
});
