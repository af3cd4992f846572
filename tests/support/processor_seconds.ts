import process from "node:process";

/** Processor time of this process so far, which a busy machine does not add to as it does to the clock's. */
export function processorSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
