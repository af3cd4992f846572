/**
 * What a Python lacks of what PyTorch's contenders need. In: a command. Out: why they cannot run, or
 * nothing. Nothing is imported, which would take seconds.
 */

const PARTS = ["torch", "transformers", "peft"];

const SCRIPT = `
import importlib.util, sys
print(*[name for name in sys.argv[1:] if importlib.util.find_spec(name) is None])
`;

/** Why PyTorch's side cannot run with this Python, in words; nothing where it can. */
export async function whyNoTorch(python: string): Promise<string | undefined> {
  try {
    const { success, stdout, stderr } = await new Deno.Command(python, {
      args: ["-c", SCRIPT, ...PARTS],
    }).output();
    const missing = new TextDecoder().decode(stdout).trim();
    if (success) return missing ? `${python} has no ${missing.replaceAll(" ", ", ")}` : undefined;
    return `${python} does not run: ${new TextDecoder().decode(stderr).trim().split("\n").at(-1)}`;
  } catch (error) {
    return error instanceof Deno.errors.NotFound
      ? `there is no ${python}`
      : `${python} does not run: ${error instanceof Error ? error.message : error}`;
  }
}
