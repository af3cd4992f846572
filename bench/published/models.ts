/** The published models that are fine-tuned here, by the names that run.ts is given. */

/** One of them. */
export interface PublishedModel {
  /** What the summary calls it. */
  readonly title: string;
  /** Peak learning rates. LoRA takes ten times the rate, as is usual; none was searched for. */
  readonly learningRates: Readonly<Record<"train_lora" | "train", number>>;
}

/** The table. */
export const MODELS: Readonly<Record<string, PublishedModel>> = {
  smollm2: {
    title: "SmolLM2-135M-Instruct",
    learningRates: { train_lora: 1e-3, train: 1e-4 },
  },
  gemma3: {
    title: "Gemma 3 270M",
    learningRates: { train_lora: 1e-3, train: 1e-4 },
  },
};
