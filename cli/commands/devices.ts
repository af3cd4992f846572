/**
 * `deno task devices`: what `--device` can be on this machine. In: nothing. Out: a line a device, with
 * the reason where it cannot be used.
 *
 * @module
 */

import { chooseAmong, findDevices } from "../../model/engine/find_devices.ts";
import { deviceName } from "../../ort/runtime/device.ts";
import { ortLibrary } from "../process/open_runtime.ts";
import { runCommand } from "../process/run_command.ts";

await runCommand<Record<string, never>>({
  name: "deno task devices",
  description: "Lists what --device can be on this machine, and why not where it cannot.",
  flags: () => {},
  // deno-lint-ignore require-await -- so that errors reject
  run: async () => {
    const found = [...findDevices({ libraryPath: ortLibrary() })];
    for (const each of found) {
      const name = deviceName(each.device).padEnd(8);
      if (each.reason !== undefined) console.log(`${name}no   ${each.reason}`);
      else console.log(`${name}yes  ${each.what}`);
    }
    const { device, line } = chooseAmong(found);
    console.log(`\n--device auto takes ${deviceName(device)}\n${line}`);
  },
});
