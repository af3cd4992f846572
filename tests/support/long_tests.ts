/** Files of tests that take long, each in a process of its own, which begins before the others. */
export const LONG: readonly string[] = [
  "tests/webgpu_test.ts",
  "tests/bfloat16_test.ts",
  "tests/without_padding_run_test.ts",
  "tests/graphs_only_test.ts",
  "tests/chat_page_test.ts",
  "tests/interrupt_test.ts",
  "tests/mpi_training_test.ts",
];
